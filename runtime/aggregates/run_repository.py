"""Runs folded from their streams, page by page: as they are, or as they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Sequence
from datetime import datetime
from typing import Any

import msgspec

from domain import large_values, runs
from domain.engine import evolve
from domain.engine.run import Run
from domain.events import Event
from domain.runs import Fork, RunCreated
from runtime import clock
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Repository
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


class RunRepository:
    """The way to every run: its events, its large values and its plan."""

    def __init__(self, repository: Repository) -> None:
        self.log = repository.log
        self.plans = PlanCache(repository)

    async def load(self, run_id: str, scope: Scope = NOW) -> Run | None:
        """The run within `scope`; None when it did not exist. Raises NotFound without its graph."""
        run: Run | None = None
        async for page in self._pages(run_id, scope):
            if run is None:
                run = await self._begun(run_id, page[0][1], scope)
            for entry, happened in page:
                await _fold(run, happened, entry.recorded_at)
            await asyncio.sleep(0)
        return run

    async def catch_up(self, run: Run) -> list[Event]:
        """Fold what was appended to the run's stream since; returns it."""
        happened: list[Event] = []
        assert run.created is not None
        owner = run.created.user_id
        async for page in self._pages(run.run_id, NOW, after=run.version, owner=owner):
            for entry, event in page:
                await _fold(run, event, entry.recorded_at)
                happened.append(event)
        return happened

    async def begin(self, run_id: str, created: RunCreated, scope: Scope = NOW) -> Run:
        """The run before its first event: empty, or what its fork takes over."""
        if created.fork is not None:
            return await self._forked(run_id, created.fork, scope)
        plan = await self.plans.load(created.graph_id, created.graph_version)
        return Run(run_id, plan, kept=scope.kept, gathers_outputs=scope.gathers_outputs)

    async def restored(self, owner: str, happened: Sequence[Event]) -> list[Event]:
        """The events with their large values in place."""
        hashes = {key for event in happened for key in large_values.hashes_in(event)}
        if not hashes:
            return list(happened)
        found = await self.log.values.get(owner, hashes)
        values: dict[str, Any] = {key: msgspec.json.decode(value) for key, value in found.items()}
        return [large_values.put_back(event, values) for event in happened]

    async def _begun(self, run_id: str, created: Event, scope: Scope) -> Run:
        assert isinstance(created, RunCreated), "a run's stream begins with its creation"
        return await self.begin(run_id, created, scope)

    async def _forked(self, run_id: str, fork: Fork, scope: Scope) -> Run:
        kept = _Both(scope.kept, frozenset(fork.retried))
        before = Scope(version=fork.version, kept=kept, gathers_outputs=scope.gathers_outputs)
        run = await self.load(fork.run_id, before)
        assert run is not None, "a fork's source does not go away"
        run.run_id = run_id
        run.version = 0
        run.kept = scope.kept
        return run

    async def _pages(
        self, run_id: str, scope: Scope, *, after: int = 0, owner: str = ""
    ) -> AsyncIterator[list[tuple[StreamEvent, Event]]]:
        """The run's events within `scope`, with their large values; no page is empty."""
        stream = runs.stream_of(run_id)
        async for page in self.log.stream_pages(stream, after=after, upto=scope.version):
            entries = [e for e in page if scope.moment is None or e.recorded_at <= scope.moment]
            if not entries:
                return
            first = entries[0].event
            if isinstance(first, RunCreated):
                owner = first.user_id
            events = await self.restored(owner, [entry.event for entry in entries])
            yield list(zip(entries, events, strict=True))


async def _fold(run: Run, happened: Event, at: datetime) -> None:
    """One more event; others have their turn while it brings many deliveries."""
    evolve.begin(run, happened, at, clock.monotonic)
    while run.routing is not None:
        await asyncio.sleep(0)
        evolve.route_on(run, clock.monotonic)


class _Both:
    """In the one or in the other."""

    def __init__(self, one: Container[int], other: Container[int]) -> None:
        self._one = one
        self._other = other

    def __contains__(self, number: object) -> bool:
        return number in self._one or number in self._other
