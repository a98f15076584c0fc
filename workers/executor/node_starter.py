"""How an execution begins: what is recorded before, and what runs then, by its node's effect."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from functools import partial
from typing import Protocol

from blocks.contract import BlockContext, BlockFailure, ReviewBlock, TimerBlock
from domain import credits as accounts
from domain import large_values
from domain.budgets import NOTHING
from domain.contracts import Effect
from domain.engine.execution import Execution
from domain.errors import NoRoom, PaymentRequired
from domain.policies import InDoubt
from domain.runs import (
    CreditsExtended,
    NodeDeferred,
    NodeStarted,
    ReviewReason,
    ReviewRequested,
)
from runtime import clock, failpoints
from runtime.eventlog.mapper import to_encoded
from workers.executor.attempt_tasks import AttemptTasks
from workers.executor.attempts import Attempt, block_of, inputs_of
from workers.executor.block_context import AttemptContext
from workers.executor.budget_pool import BudgetPool, UsedUp
from workers.executor.children import Children
from workers.executor.dependencies import Dependencies
from workers.executor.run_writer import Result, RunWriter

IN_DOUBT = "The effect was cut off; whether it happened is not known"
REJECTED = "The action was rejected"


class Host(Protocol):
    """Who drives the run, as far as a start concerns it."""

    async def fail(self, error: str) -> None:
        """End the run."""


class Starter:
    """Begins the executions of one run."""

    def __init__(
        self,
        writer: RunWriter,
        dependencies: Dependencies,
        pool: BudgetPool,
        children: Children,
        *,
        work: AttemptTasks,
        host: Host,
    ) -> None:
        assert writer.run.created is not None
        self._writer = writer
        self._run = writer.run
        self._created = writer.run.created
        self._http = dependencies.http.of(self._created.user_id)
        self._templates = dependencies.templates.of(self._created.user_id)
        self._pool = pool
        self._children = children
        self._work = work
        self._host = host
        self._started: list[tuple[Execution, NodeStarted]] = []
        self.lacks_room = False
        """A sub-graph found no room in memory. It remains taken, as do others: the run must be
        suspended before they are tried again, and so give back the room that it has itself."""

    @property
    def started(self) -> int:
        """How many effects are to be launched as soon as their intents are durable."""
        return len(self._started)

    async def resume(self) -> None:
        """Take up what an earlier worker, or an earlier claim, left open."""
        for execution in list(self._run.open.values()):
            if execution.until is not None:
                self._work.wait(execution)
            elif execution.is_in_doubt:
                await self._resolve(execution)
                await self._writer.routed()
            if self._run.is_ended:
                return

    async def begin(self, execution: Execution) -> None:
        """Begin an execution that is ready; the run may have ended for want of its budget then."""
        node = execution.node.node
        if node.node_id in self._created.skipped:
            self._record(Attempt(execution).skipped())
            return
        if _is_refused(execution):
            assert execution.decided is not None
            error = BlockFailure(execution.decided.message or REJECTED)
            self._record(Attempt(execution).failed(error))
            return
        reason = self._reason_to_ask(execution)
        if reason is not None:
            self._ask(execution, reason)
        elif not node.contract.cost or await self._afford():
            if node.effect is Effect.CHILD:
                await self._start_child(execution)
            else:
                self._begin_here(execution)

    async def go_on(self, execution: Execution) -> None:
        """Begin the next attempt: the moment that the execution waited for has come.

        The run may have ended for want of its budget then.
        """
        node = execution.node.node
        if node.effect is not Effect.EFFECTFUL:
            self._run_now(execution)
        elif not node.contract.cost or await self._afford():
            self._start(execution, repeats=False)

    async def launch(self) -> None:
        """Make everything durable, and run the effects whose intents are. Raises as `flush`.

        None of them when the run shall pause or stop.
        """
        started = self._started
        if not await self._writer.flush([intent for _, intent in started]):
            return
        self._started = []
        for execution, _ in started:
            failpoints.reach("effect.started")
            attempt = Attempt(execution)
            context = self._context(execution)
            outcome = attempt.run(context)
            if isinstance(outcome, Result):
                failpoints.reach("effect.done")
                self._work.keep(outcome)
            else:
                self._spawn(_to_the_end(attempt.finish(outcome, context)), attempt, context)

    def withdraw(self) -> None:
        """Forget the intents that are not written: whoever takes the run next begins with them."""
        self._started.clear()
        self._run.put_back()

    async def _start_child(self, execution: Execution) -> None:
        if self.lacks_room:
            return
        try:
            await self._children.start(execution)
        except UsedUp as error:
            await self._host.fail(str(error))
        except NoRoom:
            self.lacks_room = True

    def _begin_here(self, execution: Execution) -> None:
        match execution.node.node.effect:
            case Effect.EFFECTFUL:
                asked = execution.asked
                doubted = asked is not None and asked.reason is ReviewReason.IN_DOUBT
                self._start(execution, repeats=doubted)
            case Effect.TIMER:
                self._defer(execution)
            case _:
                self._run_now(execution)

    async def _resolve(self, execution: Execution) -> None:
        """Decide about an effect that may have happened, by the node's policy."""
        node = execution.node.node
        if node.policy.in_doubt is InDoubt.FAIL:
            self._record(Attempt(execution).failed(BlockFailure(IN_DOUBT)))
        elif node.policy.in_doubt is InDoubt.ASK:
            self._ask(execution, ReviewReason.IN_DOUBT)
        else:
            self._start(execution, repeats=True)

    def _reason_to_ask(self, execution: Execution) -> ReviewReason | None:
        node = execution.node.node
        if execution.decided is not None or node.index in self._run.approved_nodes:
            return None
        if node.is_review and self._created.asks:
            return ReviewReason.ASKED
        if node.is_sensitive and self._created.asks_sensitive:
            return ReviewReason.SENSITIVE
        return None

    def _ask(self, execution: Execution, reason: ReviewReason) -> None:
        node = execution.node.node
        name, data, editable = node.contract.name, execution.data, False
        if reason is ReviewReason.ASKED:
            try:
                block = block_of(execution)
                assert isinstance(block, ReviewBlock), "who asks is a review block"
                question = block.question(inputs_of(block, execution))
            except BaseException as error:  # noqa: BLE001 - as for `run`
                self._record(Attempt(execution).failed(error))
                return
            name, data, editable = question.name, question.data, question.editable
        hashes, large = large_values.take_out([(0, data)])
        asked = ReviewRequested(
            execution=execution.number,
            node=node.node_id,
            name=name,
            data=None if hashes else data,
            reason=reason,
            editable=editable,
            large=hashes.get(0),
        )
        self._writer.record_result(Result(to_encoded(asked), large))

    def _start(self, execution: Execution, *, repeats: bool) -> None:
        intent = NodeStarted(
            execution=execution.number,
            node=execution.node.node.node_id,
            attempt=execution.attempt + 1,
            repeats=repeats,
        )
        self._started.append((execution, intent))

    def _defer(self, execution: Execution) -> None:
        """Record until when the node waits, so that a restart does not begin anew."""
        try:
            block = block_of(execution)
            assert isinstance(block, TimerBlock), "a timer's contract belongs to a timer block"
            seconds = block.delay(inputs_of(block, execution))
            until = clock.now() + timedelta(seconds=seconds)
        except BaseException as error:  # noqa: BLE001 - as for `run`
            self._record(Attempt(execution).failed(error))
            return
        node_id = execution.node.node.node_id
        self._writer.record(NodeDeferred(execution=execution.number, node=node_id, until=until))
        self._work.wait(execution)

    def _run_now(self, execution: Execution) -> None:
        attempt = Attempt(execution)
        context = self._context(execution)
        outcome = attempt.run(context)
        if isinstance(outcome, Result):
            self._record(outcome)
        else:
            self._spawn(attempt.finish(outcome, context), attempt, context)

    def _spawn(
        self, work: Coroutine[None, None, Result], attempt: Attempt, context: BlockContext
    ) -> None:
        self._work.spawn(work, lambda error: attempt.missed(error, context.idempotency_key))

    def _record(self, result: Result) -> None:
        self._writer.record_result(result)
        if result.waiting is not None:
            self._work.wait(self._run.executions[result.waiting])

    async def _afford(self) -> bool:
        """Whether the credits set aside cover what is open; sets more aside if they do not.

        Doubling keeps the number of movements of a long run small.
        """
        run = self._run
        committed = run.committed
        try:
            await self._pool.require(NOTHING)
        except UsedUp as error:
            await self._host.fail(str(error))
            return False
        if committed <= run.held:
            return True
        for amount in (max(run.held, committed - run.held), committed - run.held):
            movement = partial(accounts.hold, hold=run.run_id, amount=amount)
            try:
                extended = CreditsExtended(amount=amount)
                await self._writer.flush_with(extended, self._writer.moving(movement))
            except PaymentRequired:
                continue
            return True
        await self._host.fail(accounts.NO_BALANCE)
        return False

    def _context(self, execution: Execution) -> BlockContext:
        return AttemptContext(self._run.run_id, execution, self._http, self._templates)


def _is_refused(execution: Execution) -> bool:
    """A person has forbidden what the node does; a node that only asks goes on with the answer."""
    asked, decided = execution.asked, execution.decided
    if asked is None or decided is None:
        return False
    return not decided.approved and asked.reason is not ReviewReason.ASKED


async def _to_the_end(work: Coroutine[None, None, Result]) -> Result:
    result = await work
    failpoints.reach("effect.done")
    return result
