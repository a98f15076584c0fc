"""Runs folded from their streams, page by page: as they are, or as they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import msgspec

from domain import large_values, runs
from domain.engine import evolve, lookups
from domain.engine.run import Run
from domain.events import Event
from domain.large_values import Large
from domain.runs import Fork, NodeCompleted, NodeFailed, RunCreated
from runtime import clock
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Repository
from runtime.aggregates.run_values import RunValues
from runtime.eventlog.reader import StreamEvent


class Scope(msgspec.Struct, frozen=True):
    """How much of a run is wanted: up to a version or a moment, and which of its executions.

    `kept` are the numbers of executions that stay when they have finished. One that is not `whole`
    has of its large values only those that decide how it goes on: it can be looked at, not driven.
    """

    version: int | None = None
    moment: datetime | None = None
    kept: Container[int] = ()
    gathers_outputs: bool = False
    whole: bool = True


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
                (created,) = await self.restored(_owner_of(page[0].event), [page[0].event])
                run = await self._begun(run_id, created, scope)
                await _fold(run, created, page.pop(0).recorded_at)
            await self._fold_page(run, page, scope)
            await asyncio.sleep(0)
        return run

    async def catch_up(self, run: Run) -> None:
        """Fold what was appended to the run's stream since."""
        async for page in self._pages(run.run_id, NOW, after=run.version):
            await self._fold_page(run, page, NOW)

    async def read_given(self, run: Run, number: int) -> None:
        """Make what an execution was given whole, in a run that is not."""
        assert run.created is not None
        given = run.executions[number].given
        large = {pin: value.hash for pin, value in given.items() if type(value) is Large}
        found = await self.log.values.get(run.created.user_id, set(large.values()))
        given.update({pin: msgspec.json.decode(found[key]) for pin, key in large.items()})

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
        before = msgspec.structs.replace(scope, version=fork.version, moment=None, kept=kept)
        run = await self.load(fork.run_id, before)
        assert run is not None, "a fork's source does not go away"
        if fork.execution is not None and not scope.whole:
            await self.read_given(run, fork.execution)
        run.run_id = run_id
        run.version = 0
        run.kept = scope.kept
        return run

    async def _pages(
        self, run_id: str, scope: Scope, *, after: int = 0
    ) -> AsyncIterator[list[StreamEvent]]:
        """The run's events within `scope`, without their large values; no page is empty."""
        stream = runs.stream_of(run_id)
        async for page in self.log.stream_pages(stream, after=after, upto=scope.version):
            entries = [e for e in page if scope.moment is None or e.recorded_at <= scope.moment]
            if not entries:
                return
            yield entries

    async def _fold_page(self, run: Run, page: Sequence[StreamEvent], scope: Scope) -> None:
        assert run.created is not None
        events = (entry.event for entry in page)
        values = RunValues(self.log.values, run.created.user_id, events if scope.whole else ())
        for entry in page:
            wanted = _wanted(run, entry.event, scope)
            await _fold(run, await values.put_back(entry.event, wanted), entry.recorded_at)


def _owner_of(created: Event) -> str:
    assert isinstance(created, RunCreated), "a run's stream begins with its creation"
    return created.user_id


def _wanted(run: Run, happened: Event, scope: Scope) -> AbstractSet[str]:
    """The large values of an event that are to be read. What is kept is taken up again."""
    is_kept = isinstance(happened, NodeCompleted | NodeFailed) and happened.execution in scope.kept
    if scope.whole or is_kept:
        return frozenset(large_values.hashes_in(happened))
    return lookups.looked_at(run, happened)


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
