"""Given reviews that wait, when a person decides, then this is recorded or refused (4.11)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.json import encode

from domain import reviews
from domain.errors import Conflict, Invalid, NotFound
from domain.large_values import hash_of
from domain.limits import request_limits, run_limits, value_limits
from domain.reviews import ReviewDecision
from domain.run_life import Life
from domain.runs import ReviewDecided, RunClaimed, RunStats, RunTerminated
from tests.domain.test_run_life import after, asked

LETTER = {"subject": "Hello", "pages": [1, 2]}


def waiting(**what: Any) -> Life:
    """A run in which execution 0 may be edited and execution 1 may not."""
    return after(RunClaimed("w"), asked(0, data=LETTER, editable=True, **what), asked(1))


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 0


def test_a_word_on_several_reviews() -> None:
    decisions = [
        ReviewDecision(execution=1, approved=False, message="no"),
        ReviewDecision(execution=0, approved=True),
    ]
    assert reviews.decide(waiting(), decisions) == [
        ReviewDecided(execution=1, node="n1", approved=False, message="no"),
        ReviewDecided(execution=0, node="n0", approved=True),
    ]


@pytest.mark.parametrize("approved", [True, False])
def test_edited_data_takes_the_place_of_what_was_shown(approved: bool) -> None:
    decision = ReviewDecision(execution=0, approved=approved, data={"subject": "Good day"})
    (decided,) = reviews.decide(waiting(), [decision])
    assert (decided.edited, decided.data) == (True, {"subject": "Good day"})


def test_null_can_be_what_the_data_becomes() -> None:
    (decided,) = reviews.decide(waiting(), [ReviewDecision(execution=0, approved=True, data=None)])
    assert (decided.edited, decided.data) == (True, None)


def test_handing_back_what_was_shown_is_no_edit() -> None:
    decisions = [
        ReviewDecision(execution=0, approved=True, data={"pages": [1, 2], "subject": "Hello"}),
        ReviewDecision(execution=1, approved=True, data="text"),
    ]
    decided = reviews.decide(waiting(), decisions)
    assert [(one.edited, one.data) for one in decided] == [(False, None), (False, None)]


@pytest.mark.parametrize("data", [LETTER, {"large_value": hash_of(encode(LETTER))}])
def test_handing_back_what_was_shown_by_reference_is_no_edit(data: Any) -> None:
    """Also for who knows of no references, and takes it for what is to be judged."""
    key = hash_of(encode(LETTER))
    life = after(RunClaimed("w"), asked(0, data=None, large=key), asked(1, data=None, large=key))
    decisions = [ReviewDecision(execution=number, approved=True, data=data) for number in (0, 1)]
    assert [one.edited for one in reviews.decide(life, decisions)] == [False, False]
    other = ReviewDecision(execution=0, approved=True, data={"large_value": "0" * 64})
    with pytest.raises(Invalid, match="cannot be edited"):
        reviews.decide(life, [other])


def test_true_is_not_one() -> None:
    decision = ReviewDecision(
        execution=0, approved=True, data={"subject": "Hello", "pages": [True, 2]}
    )
    assert reviews.decide(waiting(), [decision])[0].edited


def test_what_is_not_editable_is_not_edited() -> None:
    with pytest.raises(Invalid, match="cannot be edited"):
        reviews.decide(waiting(), [ReviewDecision(execution=1, approved=True, data="other")])


def test_an_approval_for_the_future_leaves_the_data_alone() -> None:
    decisions = [
        ReviewDecision(execution=number, approved=True, data="other", auto_approve=True)
        for number in (0, 1)
    ]
    for decided in reviews.decide(waiting(), decisions):
        assert (decided.auto_approve, decided.edited, decided.data) == (True, False, None)


def test_a_rejection_holds_for_the_one_it_is_about() -> None:
    decision = ReviewDecision(execution=0, approved=False, auto_approve=True)
    assert not reviews.decide(waiting(), [decision])[0].auto_approve


def test_only_what_waits_is_decided() -> None:
    life = after(
        RunClaimed("w"), asked(0), asked(1), ReviewDecided(execution=1, node="n1", approved=True)
    )
    for number in (1, 2):
        with pytest.raises(NotFound, match=f"No review of node execution {number} is waiting"):
            reviews.decide(life, [ReviewDecision(execution=n, approved=True) for n in (0, number)])


def test_a_run_that_has_ended_waits_for_nobody() -> None:
    ended = after(RunClaimed("w"), asked(0), RunTerminated(RunStats()))
    with pytest.raises(Conflict, match="it is TERMINATED"):
        reviews.decide(ended, [ReviewDecision(execution=0, approved=True)])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([], "nothing to decide"),
        ([0, 0], "a review is decided once"),
        (range(request_limits.REVIEWS_DECIDED_MAX + 1), "at most 500 reviews"),
    ],
)
def test_a_request_that_makes_no_sense(numbers: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        reviews.decide(
            waiting(), [ReviewDecision(execution=number, approved=True) for number in numbers]
        )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (nested(run_limits.REVIEW_DATA_DEPTH_MAX + 1), "at most 10 levels deep"),
        ({"a": nested(run_limits.REVIEW_DATA_DEPTH_MAX)}, "at most 10 levels deep"),
        (nested(value_limits.JSON_DEPTH_MAX + 1), "nested deeper than 64 levels"),
        ("x" * run_limits.REVIEW_DATA_BYTES_MAX, "at most 1048576 bytes"),
        ("nul \x00", "U\\+0000"),
        (float("nan"), "not finite"),
    ],
)
def test_data_beyond_the_bounds(data: Any, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        reviews.decide(waiting(), [ReviewDecision(execution=0, approved=True, data=data)])


@pytest.mark.parametrize(
    "data",
    [nested(run_limits.REVIEW_DATA_DEPTH_MAX), "x" * (run_limits.REVIEW_DATA_BYTES_MAX - 2)],
    ids=["depth", "size"],
)
def test_data_up_to_the_bounds(data: Any) -> None:
    assert reviews.decide(waiting(), [ReviewDecision(execution=0, approved=True, data=data)])[
        0
    ].edited


@pytest.mark.parametrize("message", ["x" * (run_limits.REVIEW_MESSAGE_CHARS_MAX + 1), "\x00"])
def test_a_message_beyond_the_bounds(message: str) -> None:
    with pytest.raises(Invalid, match="the message of a review"):
        reviews.decide(waiting(), [ReviewDecision(execution=0, approved=True, message=message)])
