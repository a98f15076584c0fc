"""Storage: what a user has stored, which only grows because nothing of it is ever deleted.

Whoever stores says so in the user's own stream, in the same append, so that nobody gets beyond a
quota by being quick. What was stored before there were quotas does not count.
"""

from __future__ import annotations

import msgspec

from domain.aggregates import Aggregate
from domain.errors import QuotaExceeded
from domain.events import Event, event, unexpected
from domain.limits import graph_limits
from domain.states import State


@event("storage.VersionStored")
class VersionStored(Event, frozen=True):
    """A version of a graph, the first of it or a further one, of so many bytes."""

    graph_id: str
    version: int
    bytes: int


@event("storage.InputsStored")
class InputsStored(Event, frozen=True):
    """Values given to a run that are too large for an event, of so many bytes."""

    run_id: str
    bytes: int


class Quota(msgspec.Struct, frozen=True):
    """How many graphs a user may have, versions one of them, and bytes all that is stored."""

    graphs: int = graph_limits.GRAPHS_PER_USER
    versions: int = graph_limits.VERSIONS_PER_GRAPH
    bytes: int = graph_limits.STORED_BYTES_PER_USER


DEFAULT = Quota()


class Storage(State, frozen=True):
    graphs: int = 0
    bytes: int = 0


def evolve(storage: Storage, happened: Event) -> Storage:
    """The storage after one more event of the stream."""
    match happened:
        case VersionStored(version=version, bytes=size):
            is_first = version == 1
            return Storage(graphs=storage.graphs + is_first, bytes=storage.bytes + size)
        case InputsStored(bytes=size):
            return msgspec.structs.replace(storage, bytes=storage.bytes + size)
        case _:
            raise unexpected(happened, "a storage")


STORAGE = Aggregate("storage", Storage(), evolve)


def store_version(
    storage: Storage, quota: Quota, *, graph_id: str, version: int, size: int
) -> list[Event]:
    """Store a version of a graph. Raises QuotaExceeded."""
    if version == 1 and storage.graphs >= quota.graphs:
        raise QuotaExceeded(f"A user has at most {quota.graphs} graphs")
    if version > quota.versions:
        raise QuotaExceeded(f"A graph has at most {quota.versions} versions")
    _require_room(storage, quota, size)
    return [VersionStored(graph_id=graph_id, version=version, bytes=size)]


def store_inputs(storage: Storage, quota: Quota, *, run_id: str, size: int) -> list[Event]:
    """Store large inputs of a run. Raises QuotaExceeded."""
    _require_room(storage, quota, size)
    return [InputsStored(run_id=run_id, bytes=size)]


def _require_room(storage: Storage, quota: Quota, size: int) -> None:
    if storage.bytes + size > quota.bytes:
        raise QuotaExceeded(
            f"A user may store {quota.bytes} bytes; {size} more would make"
            f" {storage.bytes + size} of them"
        )
