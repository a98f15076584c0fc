"""Driving one run: take what is ready, run it, record it, until nothing is left to do here.

Results of pure nodes are folded at once and made durable together with what follows. Before an
effect starts, its intent and everything that it depends on is durable.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from zlib import crc32

import msgspec

from domain import credits as accounts
from domain.budgets import NOTHING
from domain.contracts import Effect
from domain.engine.run import used_up
from domain.limits import memory_limits, run_limits, worker_limits
from domain.runs import RunCompleted, RunEnd, RunFailed, RunStats, RunSuspended, RunTerminated
from runtime import clock
from runtime.eventlog.mapper import to_encoded
from workers.executor.attempt_tasks import AttemptTasks
from workers.executor.attempts import returned
from workers.executor.budget_pool import BudgetPool, UsedUp
from workers.executor.children import Children
from workers.executor.dependencies import Dependencies
from workers.executor.node_starter import Starter
from workers.executor.run_writer import RunWriter

RETURNS_TOO_MUCH = f"A sub-graph returns at most {run_limits.NODE_OUTPUT_BYTES_MAX} bytes"

STEPS_WITHOUT_PAUSE = 100
"""Pure nodes that a run may take before other runs of the process have their turn."""


class RunDriver:
    """One run in the hands of this worker."""

    def __init__(self, writer: RunWriter, dependencies: Dependencies) -> None:
        assert writer.run.created is not None
        self._writer = writer
        self._run = writer.run
        self._created = writer.run.created
        self._write_rates = dependencies.paces
        self._pool = BudgetPool(writer, dependencies)
        self._children = Children(writer, dependencies, self._pool)
        self._work = AttemptTasks(writer.run.run_id)
        self._starter = Starter(
            writer,
            dependencies,
            self._pool,
            self._children,
            work=self._work,
            host=weakref.proxy(self),
        )
        self._is_nudged = False
        self._has_survived = False
        self._is_over = False
        self._is_held_up = False
        """Something is ready, and was not taken because of the user's pace."""
        self._leave_by: float | None = None
        self._hold_until = clock.monotonic() + worker_limits.RUN_HOLD_SECONDS
        self._began_us = clock.monotonic_us()
        self._deadline = self._run.latest_end(clock.now())

    @property
    def durable(self) -> int:
        """The version of the run's stream up to which this drive knows it."""
        return self._writer.durable

    @property
    def has_children(self) -> bool:
        return self._children.are_open

    def nudge(self) -> None:
        """Say that something has happened outside: to the run, or to a child of it."""
        self._is_nudged = True
        self._work.stir()

    def survive(self) -> None:
        """Say that the run has not ended this process although it might have."""
        self._has_survived = True
        self._work.stir()

    def leave(self) -> None:
        """Begin nothing more, and let go of the run soon."""
        self._leave_by = clock.monotonic() + worker_limits.LEAVE_SECONDS
        self._work.stir()

    async def to_end(self, claimed: Callable[[], Awaitable[None]]) -> None:
        """Drive the run until it has ended, or is suspended as nothing can be done for it here.

        `claimed` is awaited when the claim is durable, which is before any block's code runs.

        Raises RunLost when another worker took it, OutcomeUnknown when the database went away.
        In all cases nothing of this drive goes on, unless it takes very long to clean up.
        """
        try:
            if self._begins_with_effects:
                await self._take_ready()
                if not self._is_over:
                    await self._starter.launch()
                await claimed()
            else:
                await self._writer.flush()
                await claimed()
                await self._take_up()
            while not self._is_over:
                await self._move()
        finally:
            await self._work.give_up()

    async def fail(self, error: str) -> None:
        """End the run. Raises as `to_end` does."""
        await self._end(RunFailed(error=error, stats=self._stats, parent=self._parent))

    async def _take_up(self) -> None:
        """Go on with what an earlier worker, or an earlier claim, left open."""
        await self._children.collect()
        if not self._run.is_stopping:
            await self._starter.resume()

    @property
    def _begins_with_effects(self) -> bool:
        """No block's code runs before the first intents, so the claim can go along with them."""
        run = self._run
        may_begin = self._leave_by is None and not (run.is_paused or run.is_stopping)
        if run.open or not may_begin or run.is_short or self._over_budget() is not None:
            return False
        return all(
            execution.node.node.effect is Effect.EFFECTFUL and not execution.node.node.is_review
            for execution in run.ready.values()
        )

    async def _move(self) -> None:
        run = self._run
        outside = self._writer.outside
        if run.is_stopping:
            await self._end(RunTerminated(stats=self._stats, parent=self._parent))
            return
        self._is_held_up = False
        error = self._over_budget() or await self._cover_steps()
        if error is not None:
            await self.fail(error)
            return
        if not run.is_paused and not self._is_leaving:
            await self._take_ready()
        if self._is_over or self._writer.outside != outside:
            # What has come may be a stop: who is suspended after it is never woken again.
            return
        if run.is_drained:
            await self._complete()
        elif self._must_leave:
            await self._suspend(self._moment_to_go_on())
        elif self._is_idle and not self._was_woken_early:
            # A child that has just ended may have brought something to do.
            if not await self._children_ended():
                await self._suspend(self._next_moment())
        else:
            await self._starter.launch()
            if self._writer.outside == outside and run.over_budget is None and not run.is_short:
                await self._collect()

    async def _take_ready(self) -> None:
        run = self._run
        taken, durable = 0, -1
        while self._work.count + self._starter.started < worker_limits.EXECUTOR_NODES_PER_RUN_MAX:
            if run.is_stopping or run.over_budget is not None or run.is_short:
                return
            if self._writer.durable != durable:
                # Only what has been written since can have been too much.
                durable = self._writer.durable
                if self._seconds_ahead:
                    self._is_held_up = True
                    return
            execution = run.take()
            if execution is None:
                return
            await self._starter.begin(execution)
            await self._writer.routed()
            if self._is_over:
                return
            taken += 1
            if self._writer.is_full:
                await self._starter.launch()
            elif taken % STEPS_WITHOUT_PAUSE == 0:
                await asyncio.sleep(0)

    async def _collect(self) -> None:
        """Wait until something happens, and record all that has happened by then."""
        work = self._work
        await work.stirred(self._seconds_left())
        while work.results:
            result = work.results.popleft()
            self._writer.record_result(result)
            await self._writer.routed()
            if self._writer.is_full:
                await self._writer.flush()
            if result.waiting is not None:
                work.wait(self._run.executions[result.waiting])
        while work.due:
            await self._starter.go_on(work.due.popleft())
            await self._writer.routed()
            if self._is_over:
                return
        if self._has_survived:
            self._has_survived = False
            self._writer.claim_beside_others()
        if self._is_nudged:
            self._is_nudged = False
            await self._writer.refresh()
            await self._children.collect()

    @property
    def _is_idle(self) -> bool:
        """Nothing is at work here, and nothing will be soon."""
        if self._work.is_any or self._work.due:
            return False
        if self._run.is_paused:
            return True
        if self._starter.started:
            return False
        soon = clock.now() + timedelta(seconds=worker_limits.RUN_SLEEP_SECONDS_MIN)
        return self._run.first_ready() is None and all(m > soon for m in self._moments())

    @property
    def _was_woken_early(self) -> bool:
        """Nothing has happened since it was suspended until the moment that it still waits for:
        whoever woke it has another idea of the time. To suspend it again and again would fill the
        log.
        """
        run = self._run
        if run.version != run.suspended_version + 1 or clock.monotonic() >= self._hold_until:
            return False
        moment = self._next_moment()
        return moment is not None and moment == run.suspended_until

    @property
    def _is_leaving(self) -> bool:
        """Nothing more is begun here, and the run is let go of when what is at work has ended."""
        return self._leave_by is not None or self._starter.lacks_room

    @property
    def _must_leave(self) -> bool:
        if not self._is_leaving:
            return False
        if self._leave_by is not None and clock.monotonic() >= self._leave_by:
            return True
        return not self._work.is_any and (self._leave_by is not None or not self._starter.started)

    def _moment_to_go_on(self) -> datetime:
        if self._leave_by is not None:
            return clock.now()
        # Those that give room back together must not come back for it together.
        chance = crc32(f"{self._run.run_id} {self._run.version}".encode()) / 2**32
        seconds = memory_limits.ROOM_AGAIN_SECONDS * (1 + chance)
        again = clock.now() + timedelta(seconds=seconds)
        return min(again, self._next_moment() or again)

    def _next_moment(self) -> datetime | None:
        """When the run wants a worker again, if nothing comes from outside before."""
        if self._run.is_paused:
            return None
        moments = self._moments()
        if self._deadline is not None:
            moments.append(self._deadline)
        return min(moments, default=None)

    def _moments(self) -> list[datetime]:
        """When the executions that wait for time go on."""
        return [execution.until for execution in self._run.open.values() if execution.until]

    async def _children_ended(self) -> bool:
        self._is_nudged = False
        return await self._children.collect()

    async def _suspend(self, until: datetime | None) -> None:
        suspended = RunSuspended(stats=self._stats, until=until, seen=self._children.seen)
        self._is_over = await self._writer.suspend(suspended)
        if self._is_over:
            self._starter.withdraw()

    async def _complete(self) -> None:
        completed = RunCompleted(stats=self._stats)
        if self._parent is not None:
            outputs, large, values = returned(self._run.returned)
            completed = RunCompleted(
                stats=self._stats, parent=self._parent, returned=outputs, large=large
            )
            if len(to_encoded(completed).state) > run_limits.NODE_OUTPUT_BYTES_MAX:
                await self.fail(RETURNS_TOO_MUCH)
                return
            self._writer.keep(values)
        await self._end(completed)

    async def _end(self, end: RunEnd) -> None:
        run = self._run
        children = self._children.open_ids()
        if run.held:
            settle = partial(accounts.settle, hold=run.run_id, spent=run.cost)
            await self._writer.flush_with(end, self._writer.moving(settle))
        else:
            self._writer.record(end)
            await self._writer.flush()
        self._is_over = True
        await self._children.stop(children)

    @property
    def _stats(self) -> RunStats:
        wall_us = clock.monotonic_us() - self._began_us
        return msgspec.structs.replace(self._run.stats, wall_us=wall_us)

    @property
    def _parent(self) -> str | None:
        parent = self._created.parent
        return None if parent is None else parent.run_id

    @property
    def _seconds_ahead(self) -> float:
        """How long to begin nothing, because the user's runs have written too much at once."""
        return self._write_rates.seconds_ahead(self._created.user_id)

    def _over_budget(self) -> str | None:
        if self._deadline is not None and clock.now() >= self._deadline:
            assert self._created.seconds_max is not None, "a deadline follows from seconds"
            return used_up(f"{self._created.seconds_max:g}", "seconds")
        return self._run.over_budget

    async def _cover_steps(self) -> str | None:
        """Take more of a shared budget if that is needed; why the run ends if there is no more."""
        if not self._run.is_short:
            return None
        try:
            await self._pool.require(NOTHING)
        except UsedUp as error:
            return str(error)
        return None

    def _seconds_left(self) -> float | None:
        """Until when something must be done even if nothing happens."""
        left = []
        if self._deadline is not None:
            left.append((self._deadline - clock.now()).total_seconds())
        if self._leave_by is not None:
            left.append(self._leave_by - clock.monotonic())
        if self._was_woken_early:
            left.append(self._hold_until - clock.monotonic())
        if self._is_held_up:
            left.append(self._seconds_ahead)
        return max(0.0, min(left)) if left else None
