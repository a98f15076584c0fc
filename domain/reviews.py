"""Reviews: a node waits for a person's word on what it shows them (docs/engine-rules.md, 4.11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from domain.errors import Conflict, Invalid, NotFound
from domain.json_values import check_json, check_text
from domain.large_values import LargeValue, hash_of
from domain.limits import request_limits, run_limits
from domain.run_life import Life
from domain.runs import ReviewDecided, ReviewRequested


class ReviewDecision(msgspec.Struct, frozen=True):
    """A person's word on one execution of a run; `data`, where it is set, takes the data's place.

    An approval with `auto_approve` holds for later executions of the node too. What it holds for
    then is not known yet, so it leaves the data as it is.
    """

    execution: int
    approved: bool
    data: Any | UnsetType = UNSET
    message: str = ""
    auto_approve: bool = False


def decide(life: Life, decisions: Sequence[ReviewDecision]) -> list[ReviewDecided]:
    """Decide reviews of one run, all of them or none.

    Raises Conflict when the run has ended, NotFound for a review that does not wait, and Invalid
    for no decision at all, two about one review, or data and messages that are not allowed.
    """
    if not decisions:
        raise Invalid("there is nothing to decide")
    if len(decisions) > request_limits.REVIEWS_DECIDED_MAX:
        raise Invalid(f"at most {request_limits.REVIEWS_DECIDED_MAX} reviews are decided at once")
    if len({decision.execution for decision in decisions}) < len(decisions):
        raise Invalid("a review is decided once")
    if life.is_ended:
        raise Conflict(f"the run has ended: it is {life.status}")
    return [_decided(life, decision) for decision in decisions]


def _decided(life: Life, decision: ReviewDecision) -> ReviewDecided:
    asked = life.reviews.get(decision.execution)
    if asked is None:
        raise NotFound(f"No review of node execution {decision.execution} is waiting")
    _check_message(decision.message)
    auto_approve = decision.auto_approve and decision.approved
    edited = not auto_approve and _is_edit(asked, decision.data)
    return ReviewDecided(
        execution=decision.execution,
        node=asked.node,
        approved=decision.approved,
        data=decision.data if edited else None,
        message=decision.message,
        edited=edited,
        auto_approve=auto_approve,
    )


def _is_edit(asked: ReviewRequested, data: Any | UnsetType) -> bool:
    if data is UNSET:
        return False
    _check_data(data)
    if asked.large is not None:
        if data == msgspec.to_builtins(LargeValue(asked.large)):
            return False  # Nothing but what stood in its place.
        is_same = hash_of(msgspec.json.encode(data)) == asked.large
    else:
        is_same = _in_order(data) == _in_order(asked.data)
    if is_same:
        return False
    if not asked.editable:
        raise Invalid("the data of this review cannot be edited")
    return True


def _in_order(data: Any) -> bytes:
    return msgspec.json.encode(data, order="sorted")


def _check_data(data: Any) -> None:
    check_json(data, "the data of a review")
    if _depth(data) > run_limits.REVIEW_DATA_DEPTH_MAX:
        raise Invalid(
            f"the data of a review is nested at most {run_limits.REVIEW_DATA_DEPTH_MAX} levels deep"
        )
    if len(msgspec.json.encode(data)) > run_limits.REVIEW_DATA_BYTES_MAX:
        raise Invalid(f"the data of a review has at most {run_limits.REVIEW_DATA_BYTES_MAX} bytes")


def _check_message(message: str) -> None:
    if len(message) > run_limits.REVIEW_MESSAGE_CHARS_MAX:
        raise Invalid(
            f"the message of a review has at most {run_limits.REVIEW_MESSAGE_CHARS_MAX} characters"
        )
    check_text(message, "the message of a review")


def _depth(value: Any) -> int:
    """How deep containers are nested, as `check_json` counts: a scalar 0, `[]` 1."""
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0
