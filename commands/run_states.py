"""Runs folded from their streams, page by page: as they are, or as they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Sequence
from datetime import datetime
from typing import Any

import msgspec

from commands.plans import Plans
from commands.streams import Streams
from domain import large_values, runs
from domain.engine import evolve
from domain.engine.run import Run
from domain.events import Event
from domain.runs import Fork, RunCreated
from runtime.eventlog.log import EventLog
from runtime.eventlog.reader import StreamEvent


class Scope(msgspec.Struct, frozen=True):
    """How much of a run is wanted: up to a version or a moment, and which of its executions.

    `kept` are the numbers of executions that stay when they have finished.
    """

    version: int | None = None
    moment: datetime | None = None
    kept: Container[int] = ()
    gathers_outputs: bool = False


NOW = Scope()


async def load(streams: Streams, plans: Plans, run_id: str, scope: Scope = NOW) -> Run | None:
    """The run within `scope`; None when it did not exist. Raises NotFound without its graph."""
    run: Run | None = None
    async for page in _pages(streams.log, run_id, scope):
        if run is None:
            run = await _begun(streams, plans, run_id, page[0][1], scope)
        for entry, happened in page:
            await _fold(run, happened, entry.recorded_at)
        await asyncio.sleep(0)
    return run


async def catch_up(streams: Streams, run: Run) -> list[Event]:
    """Fold what was appended to the run's stream since; returns it."""
    happened: list[Event] = []
    assert run.created is not None
    owner = run.created.user_id
    async for page in _pages(streams.log, run.run_id, NOW, after=run.version, owner=owner):
        for entry, event in page:
            await _fold(run, event, entry.recorded_at)
            happened.append(event)
    return happened


async def begin(
    streams: Streams, plans: Plans, run_id: str, created: RunCreated, scope: Scope = NOW
) -> Run:
    """The run before its first event: empty, or what its fork takes over."""
    if created.fork is not None:
        return await _forked(streams, plans, run_id, created.fork, scope)
    plan = await plans.load(streams, created.graph_id, created.graph_version)
    return Run(run_id, plan, kept=scope.kept, gathers_outputs=scope.gathers_outputs)


async def restored(log: EventLog, owner: str, happened: Sequence[Event]) -> list[Event]:
    """The events with their large values in place."""
    hashes = {key for event in happened for key in large_values.hashes_in(event)}
    if not hashes:
        return list(happened)
    found = await log.values.get(owner, hashes)
    values: dict[str, Any] = {key: msgspec.json.decode(value) for key, value in found.items()}
    return [large_values.put_back(event, values) for event in happened]


async def _fold(run: Run, happened: Event, at: datetime) -> None:
    """One more event; others have their turn while it brings many deliveries."""
    evolve.begin(run, happened, at)
    while run.routing is not None:
        await asyncio.sleep(0)
        evolve.route_on(run)


async def _begun(streams: Streams, plans: Plans, run_id: str, created: Event, scope: Scope) -> Run:
    assert isinstance(created, RunCreated), "a run's stream begins with its creation"
    return await begin(streams, plans, run_id, created, scope)


async def _forked(streams: Streams, plans: Plans, run_id: str, fork: Fork, scope: Scope) -> Run:
    kept = _Both(scope.kept, frozenset(fork.retried))
    before = Scope(version=fork.version, kept=kept, gathers_outputs=scope.gathers_outputs)
    run = await load(streams, plans, fork.run_id, before)
    assert run is not None, "a fork's source does not go away"
    run.run_id = run_id
    run.version = 0
    run.kept = scope.kept
    return run


class _Both:
    """In the one or in the other."""

    def __init__(self, one: Container[int], other: Container[int]) -> None:
        self._one = one
        self._other = other

    def __contains__(self, number: object) -> bool:
        return number in self._one or number in self._other


async def _pages(
    log: EventLog, run_id: str, scope: Scope, *, after: int = 0, owner: str = ""
) -> AsyncIterator[list[tuple[StreamEvent, Event]]]:
    """The run's events within `scope`, with their large values; no page is empty."""
    stream = runs.stream_of(run_id)
    async for page in log.stream_pages(stream, after=after, upto=scope.version):
        entries = [e for e in page if scope.moment is None or e.recorded_at <= scope.moment]
        if not entries:
            return
        first = entries[0].event
        if isinstance(first, RunCreated):
            owner = first.user_id
        events = await restored(log, owner, [entry.event for entry in entries])
        yield list(zip(entries, events, strict=True))
