"""What the protocol of the sockets under `/ws/{user_id}` says to clients.

Beside the protocol's own fields, each message about a run carries `version`, which counts the
run's events, and `position`, its place in the whole log. Versions rise but skip: not every event
has something to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.live.progress import NodeEvent, NodeProgress, progress_of
from domain.engine.views import View
from domain.runs import RunFailed, RunPaused, RunResumed, RunStatus, RunTerminated, run_of
from projections.projection import Recorded
from projections.runs.pages import OutputsPage, Pages
from runtime import clock

NONE: Mapping[str, int] = {}


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """`timestamp` is when the event was recorded, or when we answered."""

    timestamp: datetime = msgspec.field(default_factory=clock.now)


class Pong(Message, frozen=True, tag="pong"):
    pass


class Failure(Message, frozen=True, tag="error"):
    message: str


class SubscriptionConfirmed(Message, frozen=True, tag="subscription_confirmed"):
    execution_id: str


class UnsubscriptionConfirmed(Message, frozen=True, tag="unsubscription_confirmed"):
    execution_id: str


class GraphUpdateResponse(Message, frozen=True, tag="graph_update_response"):
    """A graph as its active version is."""

    graph_id: str
    version: int
    name: str


class Counts(msgspec.Struct, frozen=True):
    """Node executions of a run by what has become of them.

    Those in `review` wait for a person, `waiting` ones lack inputs.
    """

    completed: int
    failed: int
    terminated: int
    running: int
    review: int
    queued: int
    waiting: int
    total: int


class ExecutionStatusResponse(Message, frozen=True, tag="execution_status_response"):
    execution_id: str
    status: RunStatus
    paused: bool
    progress: Counts
    current_node: str | None
    output: dict[str, list[Any]]
    error: str | None
    version: int
    next_outputs: int | UnsetType = UNSET
    """There are more outputs: after so many the run's page goes on (`outputs_after`)."""
    omitted_outputs: list[str] = []
    large_values: dict[str, int] = {}
    """As on the run's page."""


class RunMessage(Message, frozen=True):
    execution_id: str
    version: int
    position: int


class ExecutionStarted(RunMessage, frozen=True, tag="execution_started"):
    graph_id: str
    status: RunStatus = RunStatus.RUNNING


class ExecutionContinued(RunMessage, frozen=True, tag="execution_continued"):
    """A worker has taken the run up again."""

    status: RunStatus = RunStatus.RUNNING


class ExecutionReview(RunMessage, frozen=True, tag="execution_review"):
    """Nothing of the run moves until a person has answered."""

    status: RunStatus = RunStatus.REVIEW


class ExecutionPaused(RunMessage, frozen=True, tag="execution_paused"):
    pass


class ExecutionResumed(RunMessage, frozen=True, tag="execution_resumed"):
    pass


class ExecutionProgress(RunMessage, frozen=True, tag="execution_progress"):
    progress: NodeProgress


class ExecutionCompleted(RunMessage, frozen=True, tag="execution_completed"):
    result: dict[str, list[Any]]
    status: RunStatus = RunStatus.COMPLETED
    next_outputs: int | UnsetType = UNSET
    omitted_outputs: list[str] = []
    large_values: dict[str, int] = {}
    """As in an ExecutionStatusResponse."""


class ExecutionFailed(RunMessage, frozen=True, tag="execution_failed"):
    error: str
    status: RunStatus = RunStatus.FAILED


class ExecutionTerminated(RunMessage, frozen=True, tag="execution_terminated"):
    status: RunStatus = RunStatus.TERMINATED


encode = msgspec.json.Encoder().encode


def started(claim: Recorded, graph_id: str) -> ExecutionStarted:
    return ExecutionStarted(graph_id=graph_id, **_place(claim))


def continued(claim: Recorded) -> ExecutionContinued:
    return ExecutionContinued(**_place(claim))


def in_review(rest: Recorded) -> ExecutionReview:
    return ExecutionReview(**_place(rest))


async def completed(end: Recorded, _view: View, pages: Pages) -> ExecutionCompleted:
    """With as many of the run's outputs as one message has room for."""
    outputs = await pages.outputs(0)
    return ExecutionCompleted(
        result=outputs.by_name(),
        next_outputs=_next(outputs),
        omitted_outputs=outputs.omitted,
        large_values=pages.large_values,
        **_place(end),
    )


def of_event(recorded: Recorded, sizes: Mapping[str, int] = NONE) -> RunMessage | None:
    """What an event says to clients, if anything, that is complete but for the `sizes` of large
    values in it.
    """
    place = _place(recorded)
    match recorded.event:
        case RunFailed(error=error):
            return ExecutionFailed(error=error, **place)
        case RunTerminated():
            return ExecutionTerminated(**place)
        case RunPaused():
            return ExecutionPaused(**place)
        case RunResumed():
            return ExecutionResumed(**place)
    if isinstance(recorded.event, NodeEvent):
        return ExecutionProgress(
            progress=progress_of(place["execution_id"], recorded.event, sizes), **place
        )
    return None


async def status_of(view: View, pages: Pages) -> ExecutionStatusResponse:
    """Where a run stands, with as many of its outputs as one message has room for."""
    run = view.run
    outputs = await pages.outputs(0)
    working = (e.node.node.node_id for e in view.unfinished if e.status is RunStatus.RUNNING)
    return ExecutionStatusResponse(
        execution_id=run.run_id,
        status=run.status,
        paused=run.is_paused,
        progress=_counts(view),
        current_node=next(working, None),
        output=outputs.by_name(),
        error=run.error,
        version=run.version,
        next_outputs=_next(outputs),
        omitted_outputs=outputs.omitted,
        large_values=pages.large_values,
    )


def _next(outputs: OutputsPage) -> int | UnsetType:
    return UNSET if outputs.next_after is None else outputs.next_after


def _counts(view: View) -> Counts:
    """The end of a run gives its status to what it cuts off, which has not finished."""
    run = view.run
    left = Counter(execution.status for execution in view.unfinished)
    failed = len(run.failed)
    return Counts(
        completed=run.count - left.total() - failed,
        failed=failed + left[RunStatus.FAILED],
        terminated=left[RunStatus.TERMINATED],
        running=left[RunStatus.RUNNING],
        review=left[RunStatus.REVIEW],
        queued=left[RunStatus.QUEUED],
        waiting=left[RunStatus.INCOMPLETE],
        total=run.count,
    )


def _place(recorded: Recorded) -> dict[str, Any]:
    return {
        "execution_id": run_of(recorded.stream),
        "version": recorded.version,
        "position": recorded.position,
        "timestamp": recorded.at,
    }
