"""Where runs come from: the wake-up, memory, a snapshot, or their whole stream."""

from __future__ import annotations

import msgspec
import structlog

from domain import events, runs
from domain.engine import snapshots
from domain.engine.evolve import evolve
from domain.engine.run import Run
from domain.engine.weights import weight
from domain.limits import log_limits, memory_limits, worker_limits
from domain.runs import RunCreated
from runtime.cache import BoundedCache
from workers.executor.dependencies import Dependencies
from workers.executor.wake_ups import ReceivedWakeUp

log = structlog.get_logger()

CREATED = events.topic_of(RunCreated)


class RunLoader:
    """Runs that this executor has had in hand and that are suspended, and the way to all others."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._runs = dependencies.runs
        self._suspended: BoundedCache[str, Run] = BoundedCache(
            worker_limits.RUNS_REMEMBERED_MAX, memory_limits.RUNS_REMEMBERED_BYTES_MAX
        )
        self._runs.plans.when_pressed(self._give_back)

    def _give_back(self) -> None:
        """Others want room for heavy graphs: let go of those that are only suspended here."""
        for run in self._suspended.drop_all(lambda run: run.plan.is_heavy):
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
                for gone in self._suspended.put(run.run_id, run, weighs):
                    gone.dissolve()
                return
        elif run.is_ended and run.version >= log_limits.SNAPSHOT_EVENTS:
            await self._runs.log.snapshots.forget(runs.stream_of(run.run_id))
        run.dissolve()

    async def get(self, wake_up: ReceivedWakeUp) -> Run | None:
        """The run as its stream has it; None when there is none. Raises what reading raises."""
        suspended = self._suspended.get(wake_up.run_id)
        # In the hands of a drive it may change in ways that never become durable.
        self._suspended.drop(wake_up.run_id)
        if suspended is not None:
            await self._runs.catch_up(suspended)
            return suspended
        created = wake_up.take_created()
        if created is not None:
            return await self._fresh(wake_up.run_id, created)
        return await self._thawed(wake_up.run_id) or await self._runs.load(wake_up.run_id)

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
