"""What became of one node execution, as a message tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from domain.contracts import ERROR_PIN
from domain.large_values import LargeValue
from domain.runs import (
    ChildStarted,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    Output,
    ReviewDecided,
    ReviewReason,
    ReviewRequested,
    RunStatus,
    execution_id,
)
from projections.reviews import ReviewStatus

NodeEvent = (
    NodeStarted
    | NodeDeferred
    | NodeRetried
    | ReviewRequested
    | ReviewDecided
    | ChildStarted
    | NodeCompleted
    | NodeFailed
)


class ReviewNotice(msgspec.Struct, frozen=True, kw_only=True):
    """That a person is asked, and about what; or what the answer was."""

    status: ReviewStatus
    name: str | None = None
    reason: ReviewReason | None = None
    editable: bool | None = None
    message: str | None = None
    was_edited: bool | None = None


class NodeProgress(msgspec.Struct, frozen=True, kw_only=True):
    """`until` is when a node that waits goes on, `error` why it or its last attempt failed.

    An output of which the JSON has more than 64 KiB is by reference, `{"large_value": <its hash>}`,
    and fetched alone at `/values/<its hash>`: `large_values` has the sizes of these.
    """

    node_id: str
    node_exec_id: str
    status: RunStatus
    output_data: dict[str, list[Any]] = {}
    large_values: dict[str, int] = {}
    error: str | None = None
    attempt: int | None = None
    repeated: bool = False
    until: datetime | None = None
    review: ReviewNotice | None = None
    child_execution_id: str | None = None


def progress_of(run_id: str, event: NodeEvent, sizes: Mapping[str, int]) -> NodeProgress:
    """What the event says of its node execution; `sizes` are those of its large values by hash."""
    status, said = _said(event, sizes)
    return NodeProgress(
        node_id=event.node,
        node_exec_id=execution_id(run_id, event.execution),
        status=status,
        **said,
    )


def _said(event: NodeEvent, sizes: Mapping[str, int]) -> tuple[RunStatus, dict[str, Any]]:
    """The status that an event puts its node execution in, and what else it tells."""
    status = RunStatus.RUNNING
    said: dict[str, Any]
    match event:
        case NodeStarted(attempt=attempt, repeats=repeats):
            said = {"attempt": attempt, "repeated": repeats}
        case NodeDeferred(until=until):
            said = {"until": until}
        case NodeRetried(attempt=attempt, error=error, until=until):
            said = {"attempt": attempt, "error": error, "until": until}
        case ChildStarted(child=child):
            said = {"child_execution_id": child}
        case ReviewRequested():
            status, said = RunStatus.REVIEW, {"review": _question(event)}
        case ReviewDecided():
            status, said = RunStatus.QUEUED, {"review": _answer(event)}
        case NodeCompleted(outputs=outputs, large=large):
            status, said = RunStatus.COMPLETED, _yielded(outputs, large, sizes)
        case NodeFailed(outputs=outputs, error=error, large=large):
            yielded = _yielded([*outputs, (ERROR_PIN, error)], large, sizes)
            status, said = RunStatus.FAILED, {"error": error, **yielded}
    return status, said


def _question(asked: ReviewRequested) -> ReviewNotice:
    return ReviewNotice(
        status=ReviewStatus.WAITING,
        name=asked.name,
        reason=asked.reason,
        editable=asked.editable,
    )


def _answer(decided: ReviewDecided) -> ReviewNotice:
    return ReviewNotice(
        status=ReviewStatus.APPROVED if decided.approved else ReviewStatus.REJECTED,
        message=decided.message,
        was_edited=decided.edited,
    )


def _yielded(
    outputs: Iterable[Output], large: Mapping[int, str], sizes: Mapping[str, int]
) -> dict[str, Any]:
    """Outputs by pin, but for nulls."""
    pins: dict[str, list[Any]] = {}
    for index, (name, value) in enumerate(outputs):
        if index in large:
            pins.setdefault(name, []).append(LargeValue(large[index]))
        elif value is not None:
            pins.setdefault(name, []).append(value)
    return {"output_data": pins, "large_values": {key: sizes[key] for key in large.values()}}
