"""A run in full, folded from its stream: always current, and as it was at any version."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

import msgspec

from domain import runs
from domain.engine.views import View
from domain.errors import NotFound, Unavailable
from domain.runs import RunCreated
from projections.runs.pages import Pages
from projections.runs.permits import Permit
from projections.runs.values import first_event
from projections.runs.views import CheckpointsGone, Views
from runtime.eventlog.log import EventLog

T = TypeVar("T")

Show = Callable[[View, Pages], Awaitable[T]]
"""Makes of a view what is answered. It may be asked more than once."""

ATTEMPTS = 3
"""How often a look is begun when the checkpoints that it found are forgotten meanwhile."""


class AsOf(msgspec.Struct, frozen=True):
    """A version of a run, or a moment by the database's clock; neither for the present."""

    version: int | None = None
    moment: datetime | None = None


NOW = AsOf()


async def look(
    views: Views,
    permit: Permit,
    run_id: str,
    user_id: str,
    show: Show[T],
    *,
    graph_id: str | None = None,
    as_of: AsOf = NOW,
) -> T:
    """What `show` makes of a run of this user, and if one is named of this graph.

    Raises NotFound for another's as for none, before anything is folded, and for what lies outside
    the run's life: before it was created, or a version that it has not got to.
    """
    log = views.log
    stream = runs.stream_of(run_id)
    created, versions = await asyncio.gather(first_event(log, run_id), log.versions_of([stream]))
    if created is None or created.user_id != user_id or graph_id not in {None, created.graph_id}:
        raise _not_found(run_id)
    version = await _version(log, run_id, versions[stream], as_of)
    for _ in range(ATTEMPTS):
        with suppress(CheckpointsGone):
            view = await views.load(permit, run_id, created, version)
            try:
                return await show(view, Pages(views, permit, view))
            except CheckpointsGone:
                await views.forget(view)
    raise Unavailable(f"Execution {run_id} could not be read; please repeat the request.")


async def creation(log: EventLog, run_id: str, user_id: str) -> RunCreated:
    """How a run of this user began. Raises NotFound for another's as for none."""
    created = await first_event(log, run_id)
    if created is None or created.user_id != user_id:
        raise _not_found(run_id)
    return created


async def _version(log: EventLog, run_id: str, present: int, as_of: AsOf) -> int:
    version = present if as_of.version is None else as_of.version
    if version > present:
        raise NotFound(f"Execution {run_id} has no version {version}")
    if as_of.moment is not None:
        version = await log.version_at(runs.stream_of(run_id), as_of.moment)
    if version == 0:
        raise NotFound(f"Execution {run_id} did not exist then")
    return version


def _not_found(run_id: str) -> NotFound:
    return NotFound(f"Execution {run_id} not found")
