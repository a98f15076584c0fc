"""Sub-graphs: a node that is a run of its own, and waits for its end as state (4.10)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from blocks.catalogue import CONTRACTS
from blocks.contract import BlockFailure
from commands.runs import children, control
from domain import runs
from domain.engine.execution import Execution
from domain.errors import DomainError, GraphInvalid, Invalid, NotFound, PaymentRequired
from domain.runs import ChildStarted, RunCompleted, RunEnd, RunFailed
from runtime.aggregates.command_context import CommandContext
from workers.executor.attempts import Attempt
from workers.executor.budget_pool import BudgetPool
from workers.executor.dependencies import Dependencies
from workers.executor.run_writer import Result, RunWriter, patiently

STOPPED = "The sub-graph was stopped"


class Children:
    """The sub-graphs of one run. `seen` is the position up to which their ends are known."""

    def __init__(self, writer: RunWriter, dependencies: Dependencies, pool: BudgetPool) -> None:
        self._writer = writer
        self._pool = pool
        self._run = writer.run
        self._dependencies = dependencies
        self.seen = writer.run.seen

    @property
    def are_open(self) -> bool:
        return any(execution.child for execution in self._run.open.values())

    def open_ids(self) -> list[str]:
        """The runs that have not been seen to end."""
        return [execution.child for execution in self._run.open.values() if execution.child]

    async def start(self, execution: Execution) -> None:
        """Create the node's run in the same append that says so; or fail the node.

        Raises UsedUp when there is nothing left for it, and NoRoom when its graph is heavy and does
        not fit in beside others.
        """
        run, dependencies = self._run, self._dependencies
        try:
            part = await patiently(
                lambda: children.part(
                    dependencies.repository, dependencies.runs.plans, run, execution, CONTRACTS
                )
            )
            allotment = await self._pool.set_aside(part.plan.once)
            started = ChildStarted(
                execution=execution.number,
                node=execution.node.node.node_id,
                child=part.child_id,
                allotment=allotment,
            )
            opening = partial(
                children.opening, dependencies.repository, run, execution, part, allotment
            )
            await self._writer.flush_with(started, opening)
        except (NotFound, PaymentRequired, GraphInvalid, Invalid) as error:
            self._writer.record_result(Attempt(execution).failed(error))

    async def collect(self) -> bool:
        """Record the ends that the log has by now; whether there was one."""
        if not self._run.children:
            return False
        waiting = [execution for execution in self._run.open.values() if execution.child]
        streams = {runs.stream_of(str(execution.child)): execution for execution in waiting}
        last, self.seen = await patiently(
            lambda: self._dependencies.runs.log.read_last(list(streams))
        )
        ended = [
            (streams[stream], entry.event)
            for stream, entry in last.items()
            if isinstance(entry.event, RunEnd)
        ]
        for execution, end in ended:
            self._writer.record_result(await self._result(execution, end))
            await self._writer.routed()
            if self._writer.is_full:
                await self._writer.flush()
        return bool(ended)

    async def stop(self, run_ids: Sequence[str]) -> None:
        """Stop these runs, now that their parent has ended; the sweeper finds what is missed."""
        assert self._run.created is not None
        context = CommandContext(
            owner=self._run.created.user_id, actor=f"worker:{self._dependencies.worker}"
        )

        async def stop(run_id: str) -> None:
            with suppress(DomainError):
                await control.stop(self._dependencies.repository, context, run_id)

        await asyncio.gather(*(stop(run_id) for run_id in run_ids))

    async def _result(self, execution: Execution, end: RunEnd) -> Result:
        attempt = Attempt(execution)
        if isinstance(end, RunCompleted):
            assert self._run.created is not None
            owner = self._run.created.user_id
            (whole,) = await patiently(lambda: self._dependencies.runs.restored(owner, [end]))
            assert isinstance(whole, RunCompleted)
            return attempt.completed(whole.returned, end.stats)
        error = end.error if isinstance(end, RunFailed) else STOPPED
        return attempt.failed(BlockFailure(error), end.stats)
