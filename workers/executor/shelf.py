"""Where runs come from: from the bell, from memory, from a snapshot, or from their whole stream."""

from __future__ import annotations

import msgspec
import structlog

from domain import events, limits, memory_limits, runs
from domain.engine import snapshots
from domain.engine.evolve import evolve
from domain.engine.run import Run
from domain.engine.weights import weight
from domain.runs import RunCreated
from runtime.cache import BoundedCache
from workers.executor.bells import Rung
from workers.executor.tools import Tools

log = structlog.get_logger()

CREATED = events.topic_of(RunCreated)


class Shelf:
    """Runs that this executor has had in hand and that rest, and the way to all others."""

    def __init__(self, tools: Tools) -> None:
        self._runs = tools.runs
        self._resting: BoundedCache[str, Run] = BoundedCache(
            limits.RUNS_REMEMBERED_MAX, memory_limits.RUNS_REMEMBERED_BYTES_MAX
        )
        self._runs.plans.when_pressed(self._give_back)

    def _give_back(self) -> None:
        """Others want room for heavy graphs: let go of those that only rest here."""
        for run in self._resting.drop_all(lambda run: run.plan.is_heavy):
            run.dissolve()

    async def put(self, run: Run) -> None:
        """Keep a run that was driven, in case it wakes up; of one that has ended keep nothing.

        Its state must be the durable one. Raises database.LOST.
        """
        is_in_the_way = run.plan.is_heavy and self._runs.plans.is_pressed
        if not run.is_ended and not is_in_the_way:
            most = memory_limits.RUN_REMEMBERED_BYTES_MAX
            weighs = run.plan.weight + weight(run, most)
            if weighs <= most:
                for gone in self._resting.put(run.run_id, run, weighs):
                    gone.dissolve()
                return
        elif run.is_ended and run.version >= limits.SNAPSHOT_EVENTS:
            await self._runs.log.snapshots.forget(runs.stream_of(run.run_id))
        run.dissolve()

    async def get(self, rung: Rung) -> Run | None:
        """The run as its stream has it; None when there is none. Raises what reading raises."""
        resting = self._resting.get(rung.run_id)
        # In the hands of a drive it may change in ways that never become durable.
        self._resting.drop(rung.run_id)
        if resting is not None:
            await self._runs.catch_up(resting)
            return resting
        created = rung.take_created()
        if created is not None:
            return await self._fresh(rung.run_id, created)
        return await self._thawed(rung.run_id) or await self._runs.load(rung.run_id)

    async def _fresh(self, run_id: str, state: bytes) -> Run:
        """A run of which nothing is known but how it was created."""
        created = events.decode(CREATED, state)
        assert isinstance(created, RunCreated)
        (whole,) = await self._runs.restored(created.user_id, [created])
        assert isinstance(whole, RunCreated)
        run = await self._runs.begin(run_id, whole)
        return evolve(run, whole)

    async def _thawed(self, run_id: str) -> Run | None:
        stream = runs.stream_of(run_id)
        found = await self._runs.log.snapshots.load(stream, snapshots.FORMAT)
        if found is None:
            return None
        version, state = found
        try:
            frozen = snapshots.read(state)
        except msgspec.DecodeError:
            log.warning("snapshot.unreadable", run=run_id)
            return None
        created = frozen.created
        plan = await self._runs.plans.load(created.graph_id, created.graph_version)
        run = snapshots.thaw(run_id, plan, frozen)
        assert run.version == version, "a snapshot is of the version that it is stored under"
        await self._runs.catch_up(run)
        return run
