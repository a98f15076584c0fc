"""Driving one run: take what is ready, run it, record it, until nothing is left to do.

Results of pure nodes are folded at once and made durable together with what follows. Before an
effect starts, its intent and everything that it depends on is durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from datetime import datetime, timedelta
from functools import partial

import msgspec

from blocks.contract import BlockFailure, Context, Http, TimerBlock
from domain import credits as accounts
from domain import limits
from domain.contracts import Effect
from domain.engine.execution import Execution
from domain.errors import PaymentRequired
from domain.runs import (
    CreditsExtended,
    NodeDeferred,
    NodeStarted,
    RunClaimed,
    RunCompleted,
    RunFailed,
    RunStats,
    execution_id,
)
from runtime import clock, faults
from runtime.eventlog.mapper import Encoded
from workers.executor.ledger import Ledger
from workers.executor.nodes import Attempt, block_of, inputs_of

STEPS_WITHOUT_PAUSE = 100
"""Pure nodes that a run may take before other runs of the process have their turn."""


class Drive:
    """One run in the hands of this worker."""

    def __init__(self, ledger: Ledger, http: Http, worker: str) -> None:
        self._ledger = ledger
        self._run = ledger.run
        self._http = http
        self._worker = worker
        self._started: list[Execution] = []
        """Recorded as started, to be launched when that is durable."""
        self._tasks: set[asyncio.Task[Encoded]] = set()
        self._results: deque[asyncio.Task[Encoded]] = deque()
        self._finished = asyncio.Event()
        self._sleeps_until: datetime | None = None
        self._began_us = clock.monotonic_us()

    @property
    def _stats(self) -> RunStats:
        wall_us = clock.monotonic_us() - self._began_us
        return msgspec.structs.replace(self._run.stats, wall_us=wall_us)

    async def to_end(self) -> datetime | None:
        """Claim the run and drive it until it has ended, or has nothing to do before a moment.

        Returns that moment: then this drive is over, and the run wants another one. Raises RunLost
        when another worker took it, OutcomeUnknown when the database went away. In all cases
        nothing of this drive goes on.
        """
        try:
            self._ledger.record(RunClaimed(worker=self._worker))
            for execution in list(self._run.open.values()):
                self._resume(execution)
            while not self._run.is_ended:
                await self._move()
                if self._sleeps_until is not None:
                    return self._sleeps_until
            return None
        finally:
            for task in self._tasks:
                task.cancel()

    async def fail(self, error: str) -> None:
        """Claim the run only to end it. Raises as `to_end` does."""
        self._ledger.record(RunClaimed(worker=self._worker))
        await self._end(RunFailed(error=error, stats=self._stats))

    async def _move(self) -> None:
        await self._take_ready()
        if self._run.is_ended:
            return
        if self._run.is_drained:
            await self._end(RunCompleted(stats=self._stats))
            return
        if self._ledger.is_dirty:
            await self._ledger.flush()
            self._launch()
        self._sleeps_until = self._long_sleep()
        if self._sleeps_until is None:
            await self._collect()

    async def _take_ready(self) -> None:
        taken = 0
        while len(self._run.open) < limits.EXECUTOR_NODES_PER_RUN_MAX:
            if self._run.is_over_budget:
                await self._fail_over_budget()
                return
            execution = self._run.take()
            if execution is None:
                return
            if not await self._begin(execution):
                return
            taken += 1
            if self._ledger.is_full:
                await self._ledger.flush()
                self._launch()
            elif taken % STEPS_WITHOUT_PAUSE == 0:
                await asyncio.sleep(0)

    async def _begin(self, execution: Execution) -> bool:
        """Start one execution, or run it to its end. False when the run had to be failed."""
        node = execution.node.node
        if node.contract.cost and not await self._afford():
            return False
        if node.effect is Effect.EFFECTFUL:
            self._start(execution)
        elif node.effect is Effect.TIMER:
            self._defer(execution)
        else:
            self._run_now(execution)
        return True

    def _start(self, execution: Execution) -> None:
        started = NodeStarted(
            execution=execution.number,
            node=execution.node.node.node_id,
            attempt=execution.attempt + 1,
        )
        self._ledger.record(started)
        self._started.append(execution)

    def _defer(self, execution: Execution) -> None:
        """Record until when the node waits, so that a restart does not begin anew."""
        try:
            block = block_of(execution)
            assert isinstance(block, TimerBlock), "a timer's contract belongs to a timer block"
            seconds = block.delay(inputs_of(block, execution))
        except (BlockFailure, msgspec.ValidationError) as error:
            self._ledger.record_encoded(Attempt(execution).failed(error))
            return
        until = clock.now() + timedelta(seconds=seconds)
        self._ledger.record(
            NodeDeferred(execution=execution.number, node=execution.node.node.node_id, until=until)
        )
        self._started.append(execution)

    def _resume(self, execution: Execution) -> None:
        """Take up what an earlier worker left open: wait for the rest, or repeat the effect."""
        if execution.until is None:
            self._start(execution)
        else:
            self._started.append(execution)

    def _run_now(self, execution: Execution) -> None:
        attempt = Attempt(execution)
        outcome = attempt.run(self._context(execution))
        if isinstance(outcome, Encoded):
            self._ledger.record_encoded(outcome)
        else:
            self._spawn(attempt.finish(outcome))

    def _launch(self) -> None:
        started, self._started = self._started, []
        for execution in started:
            self._spawn(self._work(execution))

    async def _work(self, execution: Execution) -> Encoded:
        if execution.until is not None:
            await asyncio.sleep(max(0.0, (execution.until - clock.now()).total_seconds()))
        faults.reach("effect.started")
        attempt = Attempt(execution)
        outcome = attempt.run(self._context(execution))
        if not isinstance(outcome, Encoded):
            outcome = await attempt.finish(outcome)
        faults.reach("effect.done")
        return outcome

    def _spawn(self, work: Coroutine[None, None, Encoded]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._keep_result)

    def _keep_result(self, task: asyncio.Task[Encoded]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._results.append(task)
            self._finished.set()

    def _long_sleep(self) -> datetime | None:
        """When the first timer ends, if nothing else is at work and that is not soon."""
        ends = [execution.until for execution in self._run.open.values() if execution.until]
        if len(ends) < len(self._run.open) or self._results:
            return None
        first = min(ends)
        is_soon = first - clock.now() < timedelta(seconds=limits.RUN_SLEEP_SECONDS_MIN)
        return None if is_soon else first

    async def _collect(self) -> None:
        """Wait for the first result, and record all that are there by then."""
        await self._finished.wait()
        self._finished.clear()
        while self._results:
            self._ledger.record_encoded(self._results.popleft().result())

    async def _afford(self) -> bool:
        """Whether the credits set aside cover what is open; sets more aside if they do not.

        Doubling keeps the number of movements of a long run small.
        """
        run = self._run
        committed = run.cost + sum(e.node.node.contract.cost for e in run.open.values())
        if committed <= run.held:
            return True
        for amount in (max(run.held, committed - run.held), committed - run.held):
            movement = partial(accounts.hold, hold=run.run_id, amount=amount)
            try:
                await self._ledger.flush_with(CreditsExtended(amount=amount), movement)
            except PaymentRequired:
                continue
            self._launch()
            return True
        await self._end(RunFailed(error=accounts.NO_BALANCE, stats=self._stats))
        return False

    async def _fail_over_budget(self) -> None:
        created = self._run.created
        assert created is not None
        error = f"The run used up its budget of {created.steps_max} node executions"
        await self._end(RunFailed(error=error, stats=self._stats))

    async def _end(self, end: RunCompleted | RunFailed) -> None:
        run = self._run
        if run.held:
            settle = partial(accounts.settle, hold=run.run_id, spent=run.cost)
            await self._ledger.flush_with(end, settle)
        else:
            self._ledger.record(end)
            await self._ledger.flush()

    def _context(self, execution: Execution) -> Context:
        return Context(
            now=clock.now(),
            idempotency_key=execution_id(self._run.run_id, execution.number),
            http=self._http,
        )
