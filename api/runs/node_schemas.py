"""What a run's nodes did, and what those that did nothing wait for."""

from __future__ import annotations

from datetime import datetime
from itertools import chain, islice
from typing import Any

import msgspec

from domain.contracts import BlockKind
from domain.engine.execution import Execution, NodeQueue
from domain.engine.run import Run
from domain.engine.views import View
from domain.limits import request_limits
from domain.runs import ReviewReason, RunStatus, by_pin, execution_id
from projections.reviews import ReviewStatus
from projections.runs.pages import Shown


class NodeReview(msgspec.Struct):
    """What a person was asked about a node execution, and what the answer was."""

    name: str
    reason: ReviewReason
    editable: bool
    status: ReviewStatus
    message: str | None = None
    was_edited: bool | None = None


class NodeExecutionResult(msgspec.Struct):
    """`input_data` is the merged input, or what has arrived so far.

    `attempt` counts effects; `repeated` says that one of them may have happened twice. `error` is
    why it failed, or why its last attempt did. Until `waits_until` it sleeps, for its own time or
    for the next attempt. `child_execution_id` is the run that a sub-graph became. `omitted` are
    pins of which values are left out, because one answer had no room for all. An input for which a
    reference stands, of which the node had to know more than that it is there, is shown as it came
    and at the pin where it came.
    """

    user_id: str
    graph_id: str
    graph_version: int
    graph_exec_id: str
    node_exec_id: str
    node_id: str
    block_id: str
    status: RunStatus
    input_data: dict[str, Any]
    output_data: dict[str, list[Any]]
    attempt: int
    repeated: bool
    error: str | None
    waits_until: datetime | None
    child_execution_id: str | None
    review: NodeReview | None
    add_time: datetime | None
    queue_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    omitted: list[str]


class Waiting(msgspec.Struct):
    """Why a node did not run: linked pins without a value, or values that do not do.

    Without `node_exec_id` nothing at all has reached the node.
    """

    node_exec_id: str | None
    node_id: str
    block_id: str
    lacks: list[str]
    has: list[str]
    problems: dict[str, str]


def node_execution(run: Run, shown: Shown) -> NodeExecutionResult:
    """One execution of a node of the run."""
    assert run.created is not None
    execution = shown.execution
    node = execution.node.node
    return NodeExecutionResult(
        user_id=run.created.user_id,
        graph_id=run.created.graph_id,
        graph_version=run.created.graph_version,
        graph_exec_id=run.run_id,
        node_exec_id=execution_id(run.run_id, execution.number),
        node_id=node.node_id,
        block_id=node.contract.block_id,
        status=execution.status,
        input_data=shown.data,
        output_data=by_pin(shown.outputs),
        attempt=execution.attempt,
        repeated=bool(execution.lost),
        error=execution.error,
        waits_until=execution.until,
        child_execution_id=execution.child,
        review=_review(execution),
        add_time=execution.added_at,
        queue_time=execution.queued_at,
        start_time=execution.started_at,
        end_time=execution.ended_at,
        omitted=shown.omitted,
    )


def waiting_in(view: View) -> tuple[list[Waiting], int]:
    """The first of all that waits, executions before unreached nodes, and how many there are."""
    run = view.run
    executions = [e for e in view.unfinished if e.status is RunStatus.INCOMPLETE]
    unreached = [queue for queue in run.nodes if _is_unreached(queue)]
    listed: list[Waiting] = []
    pins = 0
    every = chain(
        (_waiting(run, execution) for execution in executions), map(_unreached, unreached)
    )
    for waiting in islice(every, request_limits.WAITING_LISTED_MAX):
        listed.append(waiting)
        pins += len(waiting.lacks) + len(waiting.has)
        if pins >= request_limits.WAITING_PINS_MAX:
            break
    return listed, len(executions) + len(unreached)


def _review(execution: Execution) -> NodeReview | None:
    asked, decided = execution.asked, execution.decided
    if asked is None:
        return None
    review = NodeReview(
        name=asked.name,
        reason=asked.reason,
        editable=asked.editable,
        status=ReviewStatus.WAITING,
    )
    if decided is not None:
        review.status = ReviewStatus.APPROVED if decided.approved else ReviewStatus.REJECTED
        review.message = decided.message
        review.was_edited = decided.edited
    elif execution.status is not RunStatus.REVIEW:
        # The run ended before anybody answered.
        review.status = ReviewStatus.REJECTED
    return review


def _is_unreached(queue: NodeQueue) -> bool:
    return (
        not queue.arrivals
        and queue.last_given is None
        and queue.node.contract.kind is not BlockKind.NOTE
    )


def _waiting(run: Run, execution: Execution) -> Waiting:
    node = execution.node.node
    return Waiting(
        node_exec_id=execution_id(run.run_id, execution.number),
        node_id=node.node_id,
        block_id=node.contract.block_id,
        lacks=execution.lacks(),
        has=list(execution.given),
        problems=execution.problems(),
    )


def _unreached(queue: NodeQueue) -> Waiting:
    return Waiting(
        node_exec_id=None,
        node_id=queue.node.node_id,
        block_id=queue.node.contract.block_id,
        lacks=list(queue.node.linked_pins),
        has=[],
        problems={},
    )
