"""What the seed's socket protocol says to clients (spec/1-seed-checklist.md, 1.3).

Beside the protocol's own fields, each message about a run carries `version`, which counts the
run's events, and `position`, its place in the whole log. Versions rise but skip: not every event
has something to say.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from domain.contracts import ERROR_PIN
from domain.engine.run import Run
from domain.runs import (
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeStarted,
    RunFailed,
    RunStatus,
    by_pin,
    execution_id,
    run_of,
)
from projections.projection import Recorded
from runtime import clock


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
    """Node executions of a run by what has become of them; `waiting` ones lack inputs."""

    completed: int
    failed: int
    running: int
    queued: int
    waiting: int
    total: int


class ExecutionStatusResponse(Message, frozen=True, tag="execution_status_response"):
    execution_id: str
    status: RunStatus
    progress: Counts
    current_node: str | None
    output: dict[str, list[Any]]
    error: str | None
    version: int


class RunMessage(Message, frozen=True):
    execution_id: str
    version: int
    position: int


class ExecutionStarted(RunMessage, frozen=True, tag="execution_started"):
    graph_id: str
    status: RunStatus = RunStatus.RUNNING


class NodeProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one node execution. `until` is when a node that waits goes on."""

    node_id: str
    node_exec_id: str
    status: RunStatus
    output_data: dict[str, list[Any]] = {}
    error: str | None = None
    attempt: int | None = None
    until: datetime | None = None


class ExecutionProgress(RunMessage, frozen=True, tag="execution_progress"):
    progress: NodeProgress


class ExecutionCompleted(RunMessage, frozen=True, tag="execution_completed"):
    result: dict[str, list[Any]]
    status: RunStatus = RunStatus.COMPLETED


class ExecutionFailed(RunMessage, frozen=True, tag="execution_failed"):
    error: str
    status: RunStatus = RunStatus.FAILED


encode = msgspec.json.Encoder().encode


def started(claim: Recorded, graph_id: str) -> ExecutionStarted:
    return ExecutionStarted(graph_id=graph_id, **_place(claim))


def completed(end: Recorded, run: Run) -> ExecutionCompleted:
    return ExecutionCompleted(result=run.outputs(), **_place(end))


def of_event(recorded: Recorded) -> RunMessage | None:
    """What an event that is complete in itself says to clients, if anything."""
    place = _place(recorded)
    match recorded.event:
        case RunFailed(error=error):
            return ExecutionFailed(error=error, **place)
        case NodeStarted() | NodeDeferred() | NodeCompleted() | NodeFailed() as event:
            return ExecutionProgress(progress=_progress(place["execution_id"], event), **place)
    return None


def status_of(run: Run) -> ExecutionStatusResponse:
    """Where a run stands."""
    statuses = [execution.status for execution in run.executions]
    working = (e.node.node.node_id for e in run.executions if e.status is RunStatus.RUNNING)
    return ExecutionStatusResponse(
        execution_id=run.run_id,
        status=run.status,
        progress=Counts(
            completed=statuses.count(RunStatus.COMPLETED),
            failed=statuses.count(RunStatus.FAILED),
            running=statuses.count(RunStatus.RUNNING),
            queued=statuses.count(RunStatus.QUEUED),
            waiting=statuses.count(RunStatus.INCOMPLETE),
            total=len(statuses),
        ),
        current_node=next(working, None),
        output=run.outputs(),
        error=run.error,
        version=run.version,
    )


def _place(recorded: Recorded) -> dict[str, Any]:
    return {
        "execution_id": run_of(recorded.stream),
        "version": recorded.version,
        "position": recorded.position,
        "timestamp": recorded.at,
    }


def _progress(
    run_id: str, event: NodeStarted | NodeDeferred | NodeCompleted | NodeFailed
) -> NodeProgress:
    of_node = partial(
        NodeProgress, node_id=event.node, node_exec_id=execution_id(run_id, event.execution)
    )
    match event:
        case NodeStarted(attempt=attempt):
            return of_node(status=RunStatus.RUNNING, attempt=attempt)
        case NodeDeferred(until=until):
            return of_node(status=RunStatus.RUNNING, until=until)
        case NodeCompleted(outputs=outputs):
            return of_node(status=RunStatus.COMPLETED, output_data=by_pin(outputs))
        case NodeFailed(outputs=outputs, error=error):
            pins = by_pin([*outputs, (ERROR_PIN, error)])
            return of_node(status=RunStatus.FAILED, output_data=pins, error=error)
