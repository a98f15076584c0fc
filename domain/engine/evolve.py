"""What each event does to a run.

Routing happens inside the fold and nowhere else, so that whoever folds the same events sees the
same executions with the same numbers (docs/engine-rules.md, 4.4 and 4.5). `evolve` takes its
state over: copying a hundred thousand executions at each event would make a run quadratic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from domain.budgets import NOTHING, Allotment
from domain.contracts import ERROR_PIN
from domain.engine import forks
from domain.engine.execution import Execution, NodeQueue
from domain.engine.routing import add, enqueue_if_ready, route
from domain.engine.run import Run
from domain.engine.suspicion import Loss
from domain.events import Event
from domain.limits import run_limits, worker_limits
from domain.runs import (
    BudgetExtended,
    ChildStarted,
    CreditsExtended,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    ReviewDecided,
    ReviewRequested,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunParked,
    RunPaused,
    RunResumed,
    RunStatus,
    RunStopRequested,
    RunSuspended,
    RunTerminated,
)

Moment = datetime | None
Clock = Callable[[], float]
Handler = Callable[[Run, Any, Moment], None]
DONE = object()


def evolve(run: Run, happened: Event, at: Moment = None) -> Run:
    """The run after one more event, which was recorded at `at` (None: not needed here)."""
    begin(run, happened, at)
    while run.routing is not None:
        route_on(run)
    return run


def begin(run: Run, happened: Event, at: Moment = None, clock: Clock | None = None) -> None:
    """As `evolve`, but of many deliveries only the first portion is made, as by `route_on`.

    The rest is left to that, for whoever has to let others have their turn in between, and must be
    made before the run is looked at. The next event makes it if nobody did.
    """
    while run.routing is not None:
        route_on(run)
    run.version += 1
    handler = _HANDLERS.get(type(happened))
    if handler is not None:
        handler(run, happened, at)
    if run.routing is not None:
        route_on(run, clock)


def route_on(run: Run, clock: Clock | None = None) -> None:
    """Make the next portion of deliveries; none is left when `run.routing` is None.

    `clock` tells seconds. Some deliveries take a thousand times longer than others.
    """
    routing = run.routing
    assert routing is not None
    end = None if clock is None else clock() + run_limits.ROUTE_SECONDS
    for _ in range(run_limits.ROUTE_PORTION):
        if next(routing, DONE) is DONE:
            run.routing = None
            return
        if clock is not None and end is not None and clock() >= end:
            return


def _created(run: Run, created: RunCreated, at: Moment) -> None:
    run.created = created
    run.created_at = at
    run.held = created.held
    run.granted = None if created.tree is None else created.tree.allotment
    run.set_aside = NOTHING
    run.status = RunStatus.QUEUED
    if created.fork is not None:
        forks.take_over(run, created.fork)
        return
    for node in run.plan.starting:
        execution = add(run, run.nodes[node.index], at)
        execution.given = run.plan.starting_inputs(node, created.inputs)
        enqueue_if_ready(run, execution, at)


def _claimed(run: Run, claimed: RunClaimed, at: Moment) -> None:
    if run.worker is not None and run.worker != claimed.worker:
        _lose(run, Loss(run.worker, run.is_alone))
    run.worker = claimed.worker
    run.is_alone = claimed.alone
    run.parked = None
    run.status = RunStatus.RUNNING
    run.started_at = run.started_at or at


def _lose(run: Run, loss: Loss) -> None:
    run.lost = _lengthened(run.lost, loss)
    for execution in run.open.values():
        if execution.is_in_doubt:
            execution.lost = _lengthened(execution.lost, loss)


def _lengthened(lost: list[Loss], loss: Loss) -> list[Loss]:
    """Bounded, as workers that came back and took it again may be many."""
    others = [one for one in lost if one.worker != loss.worker]
    return [*others, loss][-worker_limits.LOSSES_MAX :]


def _suspended(run: Run, suspended: RunSuspended, _at: Moment) -> None:
    run.worker = None
    run.lost, run.is_alone = [], False
    run.seen = suspended.seen
    run.suspended_until = suspended.until
    run.suspended_version = run.version
    if any(execution.status is RunStatus.REVIEW for execution in run.open.values()):
        run.status = RunStatus.REVIEW


def _parked(run: Run, parked: RunParked, _at: Moment) -> None:
    run.worker = None
    run.parked = parked.reason


def _stop_requested(run: Run, _requested: RunStopRequested, _at: Moment) -> None:
    run.is_stopping = True


def _paused(run: Run, _paused: RunPaused, _at: Moment) -> None:
    run.is_paused = True


def _resumed(run: Run, _resumed: RunResumed, _at: Moment) -> None:
    run.is_paused = False


def _started(run: Run, started: NodeStarted, at: Moment) -> None:
    execution = _pick_up(run, started.execution, at)
    execution.attempt = started.attempt
    execution.lost = execution.lost if started.repeats else []
    execution.until = None


def _deferred(run: Run, deferred: NodeDeferred, at: Moment) -> None:
    _progress(run, deferred.execution, at).until = deferred.until


def _retried(run: Run, retried: NodeRetried, at: Moment) -> None:
    execution = _progress(run, retried.execution, at)
    execution.attempt = retried.attempt
    execution.lost = []
    execution.error = retried.error
    execution.until = retried.until
    run.nodes_us += retried.elapsed_us
    run.cost += retried.cost


def _review_requested(run: Run, asked: ReviewRequested, at: Moment) -> None:
    execution = _progress(run, asked.execution, at)
    execution.status = RunStatus.REVIEW
    execution.asked = asked
    execution.decided = None


def _review_decided(run: Run, decided: ReviewDecided, _at: Moment) -> None:
    execution = run.executions[decided.execution]
    execution.status = RunStatus.QUEUED
    execution.decided = decided
    run.open.pop(decided.execution, None)
    run.ready[decided.execution] = execution
    if decided.auto_approve and decided.approved:
        run.approved_nodes.add(execution.node.node.index)


def _child_started(run: Run, started: ChildStarted, at: Moment) -> None:
    _progress(run, started.execution, at).child = started.child
    run.children += 1
    run.set_aside += started.allotment + Allotment(runs=1)


def _node_completed(run: Run, completed: NodeCompleted, at: Moment) -> None:
    execution = run.executions[completed.execution]
    execution.outputs = completed.outputs
    execution.error = None
    run.cost += completed.cost
    if run.created is not None and run.created.parent is not None and execution.node.node.is_output:
        name = str(execution.data.get("name"))
        run.returned.extend((name, value) for pin, value in completed.outputs if pin == "output")
    _finish(run, execution, RunStatus.COMPLETED, completed, at)


def _node_failed(run: Run, failed: NodeFailed, at: Moment) -> None:
    execution = run.executions[failed.execution]
    execution.error = failed.error
    execution.outputs = [*failed.outputs, (ERROR_PIN, failed.error)]
    run.errors += 1
    run.cost += failed.cost
    run.failed.append(failed.execution)
    _finish(run, execution, RunStatus.FAILED, failed, at)


def _credits_extended(run: Run, extended: CreditsExtended, _at: Moment) -> None:
    run.held += extended.amount


def _budget_extended(run: Run, extended: BudgetExtended, _at: Moment) -> None:
    if run.granted is not None:
        run.granted += extended.allotment


def _completed(run: Run, completed: RunCompleted, at: Moment) -> None:
    run.wall_us = completed.stats.wall_us
    _end(run, RunStatus.COMPLETED, None, at)


def _failed(run: Run, failed: RunFailed, at: Moment) -> None:
    run.wall_us = failed.stats.wall_us
    _end(run, RunStatus.FAILED, failed.error, at)


def _terminated(run: Run, terminated: RunTerminated, at: Moment) -> None:
    run.wall_us = terminated.stats.wall_us
    _end(run, RunStatus.TERMINATED, None, at)


def _pick_up(run: Run, number: int, at: Moment) -> Execution:
    execution = run.executions[number]
    run.leave_ready(number)
    run.open[number] = execution
    execution.status = RunStatus.RUNNING
    execution.started_at = execution.started_at or at
    return execution


def _progress(run: Run, number: int, at: Moment) -> Execution:
    execution = _pick_up(run, number, at)
    _go_on(run, execution)
    return execution


def _go_on(run: Run, progressed: Execution) -> None:
    """Something came of it: only effects that workers died over stay under suspicion."""
    if not run.lost and not run.is_alone:
        return
    run.lost = []
    if not any(one.lost for one in run.open.values() if one is not progressed):
        run.is_alone = False


def _finish(
    run: Run,
    execution: Execution,
    status: RunStatus,
    result: NodeCompleted | NodeFailed,
    at: Moment,
) -> None:
    assert not execution.is_finished, "an execution finishes once"
    run.leave_ready(execution.number)
    run.open.pop(execution.number, None)
    _go_on(run, execution)
    if execution.started_at is None and at is not None:
        began = at - timedelta(microseconds=result.elapsed_us)
        execution.started_at = max(began, execution.queued_at or began)
    execution.status = status
    execution.elapsed_us = result.elapsed_us
    execution.ended_at = at
    run.nodes_us += result.elapsed_us
    if result.child is not None:
        run.children_steps += result.child.steps
        run.children_cost += result.child.cost
        run.set_aside -= result.child.left
    if execution.number not in run.kept:
        del run.executions[execution.number]
        execution.node.shed(execution)
    run.routing = _route_finished(run, execution.node, at)


def _route_finished(run: Run, queue: NodeQueue, at: Moment) -> Iterator[None]:
    while queue.unrouted and queue.unrouted[0].is_finished:
        yield from route(run, queue.unrouted.popleft(), at)


def _end(run: Run, status: RunStatus, error: str | None, at: Moment) -> None:
    run.status = status
    run.error = error
    run.ended_at = at
    for execution in run.executions.values():
        if not execution.is_finished and execution.status is not RunStatus.INCOMPLETE:
            execution.status = status
            execution.error = error
            execution.ended_at = at
    run.ready.clear()
    run.taken.clear()
    run.open.clear()


_HANDLERS: Mapping[type[Event], Handler] = cast(
    "Mapping[type[Event], Handler]",
    {
        NodeCompleted: _node_completed,
        NodeStarted: _started,
        NodeFailed: _node_failed,
        NodeDeferred: _deferred,
        NodeRetried: _retried,
        ReviewRequested: _review_requested,
        ReviewDecided: _review_decided,
        ChildStarted: _child_started,
        RunCreated: _created,
        RunClaimed: _claimed,
        RunSuspended: _suspended,
        RunParked: _parked,
        RunStopRequested: _stop_requested,
        RunPaused: _paused,
        RunResumed: _resumed,
        CreditsExtended: _credits_extended,
        BudgetExtended: _budget_extended,
        RunCompleted: _completed,
        RunFailed: _failed,
        RunTerminated: _terminated,
    },
)
