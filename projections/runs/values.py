"""What the events of a run leave out, read when it is needed: large values, and single events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from domain import large_values, runs
from domain.engine.views import Place
from domain.events import Event
from domain.large_values import Large
from domain.runs import NodeCompleted, NodeFailed, RunCreated
from runtime.eventlog.log import EventLog


async def first_event(log: EventLog, run_id: str) -> RunCreated | None:
    """How a run was created, without its large inputs."""
    async for page in log.stream_pages(runs.stream_of(run_id), upto=1):
        created = page[0].event
        assert isinstance(created, RunCreated), "a run's stream begins with its creation"
        return created
    return None


async def read_values(log: EventLog, owner: str, hashes: Collection[str]) -> dict[str, Any]:
    """Large values by hash. Raises ValueMissing and ValueDamaged."""
    found = await log.values.get(owner, hashes)
    return {key: msgspec.json.decode(value) for key, value in found.items()}


def put_back(happened: Event, values: Mapping[str, Any]) -> Event:
    """The event with these of its large values by hash, and with `Large` for the others."""
    unread = {key: Large(key) for key in large_values.hashes_in(happened)}
    return large_values.put_back(happened, {**unread, **values}) if unread else happened


async def results_at(
    log: EventLog, places: Iterable[Place]
) -> dict[Place, NodeCompleted | NodeFailed]:
    """The events at these places, with `Large` for large outputs. The caller knows their sizes."""
    by_run: dict[str, dict[int, Place]] = {}
    for place in places:
        by_run.setdefault(place.run_id, {})[place.version] = place
    found: dict[Place, NodeCompleted | NodeFailed] = {}
    for run_id, versions in by_run.items():
        for entry in await log.read_events(runs.stream_of(run_id), list(versions)):
            happened = put_back(entry.event, {})
            assert isinstance(happened, NodeCompleted | NodeFailed)
            found[versions[entry.version]] = happened
    return found


def large_in(values: Iterable[Any]) -> set[str]:
    """The hashes of those that were not read."""
    return {value.hash for value in values if type(value) is Large}


async def read_back(log: EventLog, owner: str, given: Sequence[tuple[dict[str, Any], str]]) -> None:
    """Read the values that are `Large` in these mappings at these pins, and put them there."""
    values = await read_values(log, owner, large_in(mapping[pin] for mapping, pin in given))
    for mapping, pin in given:
        if type(mapping[pin]) is Large:
            mapping[pin] = values[mapping[pin].hash]
