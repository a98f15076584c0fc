"""Sub-graphs: a node that is a run of its own, and waits for its end as state (4.10)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from blocks.catalogue import CONTRACTS
from blocks.contract import BlockFailure
from commands import children, run_control
from domain import runs
from domain.engine.execution import Execution
from domain.errors import DomainError, GraphInvalid, Invalid, NotFound, PaymentRequired
from domain.runs import ChildStarted, RunCompleted, RunEnd, RunFailed
from runtime.aggregates.context import Context
from workers.executor.ledger import Ledger, Result, patiently
from workers.executor.nodes import Attempt
from workers.executor.pool import Pool
from workers.executor.tools import Tools

STOPPED = "The sub-graph was stopped"


class Children:
    """The sub-graphs of one run. `seen` is the position up to which their ends are known."""

    def __init__(self, ledger: Ledger, tools: Tools, pool: Pool) -> None:
        self._ledger = ledger
        self._pool = pool
        self._run = ledger.run
        self._tools = tools
        self.seen = ledger.run.seen

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
        run, tools = self._run, self._tools
        try:
            part = await patiently(
                lambda: children.part(tools.repository, tools.runs.plans, run, execution, CONTRACTS)
            )
            allotment = await self._pool.set_aside(part.plan.once)
            started = ChildStarted(
                execution=execution.number,
                node=execution.node.node.node_id,
                child=part.child_id,
                allotment=allotment,
            )
            opening = partial(children.opening, tools.repository, run, execution, part, allotment)
            await self._ledger.flush_with(started, opening)
        except (NotFound, PaymentRequired, GraphInvalid, Invalid) as error:
            self._ledger.record_result(Attempt(execution).failed(error))

    async def collect(self) -> bool:
        """Record the ends that the log has by now; whether there was one."""
        if not self._run.children:
            return False
        waiting = [execution for execution in self._run.open.values() if execution.child]
        streams = {runs.stream_of(str(execution.child)): execution for execution in waiting}
        last, self.seen = await patiently(lambda: self._tools.runs.log.read_last(list(streams)))
        ended = [
            (streams[stream], entry.event)
            for stream, entry in last.items()
            if isinstance(entry.event, RunEnd)
        ]
        for execution, end in ended:
            self._ledger.record_result(await self._result(execution, end))
            await self._ledger.routed()
            if self._ledger.is_full:
                await self._ledger.flush()
        return bool(ended)

    async def stop(self, run_ids: Sequence[str]) -> None:
        """Stop these runs, now that their parent has ended; the sweeper finds what is missed."""
        assert self._run.created is not None
        context = Context(owner=self._run.created.user_id, actor=f"worker:{self._tools.worker}")

        async def stop(run_id: str) -> None:
            with suppress(DomainError):
                await run_control.stop(self._tools.repository, context, run_id)

        await asyncio.gather(*(stop(run_id) for run_id in run_ids))

    async def _result(self, execution: Execution, end: RunEnd) -> Result:
        attempt = Attempt(execution)
        if isinstance(end, RunCompleted):
            assert self._run.created is not None
            owner = self._run.created.user_id
            (whole,) = await patiently(lambda: self._tools.runs.restored(owner, [end]))
            assert isinstance(whole, RunCompleted)
            return attempt.completed(whole.returned, end.stats)
        error = end.error if isinstance(end, RunFailed) else STOPPED
        return attempt.failed(BlockFailure(error), end.stats)
