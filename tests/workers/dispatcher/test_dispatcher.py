"""For whom is sent, and who is woken: one rule a test."""

from __future__ import annotations

import pytest

from domain.limits import worker_limits
from tests.workers.dispatcher.given import (
    claim,
    create,
    dispatcher,
    in_hand,
    loaded,
    suspended,
    unfinished,
)
from workers.dispatcher.dispatcher import Dispatcher

LATER = worker_limits.DISPATCH_AGAIN_SECONDS + 1


# --- lost wake-ups --------------------------------------------------------------------------------


def test_a_wake_up_that_is_lost_is_rung_again_before_those_whose_turn_has_not_come() -> None:
    one = dispatcher(per_user=2)
    create(one, "a", "b", "c")
    assert one.take_due(0) == ["a", "b"]
    one.claimed("b")
    assert one.first_wake_up == 0
    one.wake_ups_lost(0)
    assert one.take_due(LATER) == ["a"]
    assert one.first_wake_up == LATER


def test_a_wake_up_that_waits_is_not_lost() -> None:
    one = dispatcher()
    create(one, "a")
    one.take_due(0)
    create(one, "b")
    one.take_due(1)
    one.wake_ups_waiting(0, LATER)
    assert one.first_wake_up == 1
    one.wake_ups_lost(1)
    assert one.take_due(LATER) == ["b"]


def test_no_wake_up_is_missed_of_a_run_that_has_ended() -> None:
    one = dispatcher()
    create(one, "a")
    one.take_due(0)
    one.ended("a", 1)
    assert one.first_wake_up is None
    one.wake_ups_lost(LATER)
    assert one.take_due(LATER) == []


# --- resting -----------------------------------------------------------------------------------


def test_a_run_that_is_suspended_is_woken_up_at_its_moment() -> None:
    one = dispatcher()
    suspended(one, "a", until=10.0)
    suspended(one, "b", until=5.0)
    assert one.first_timer == 5.0
    assert one.take_due(4.999) == []
    assert one.take_due(5.0) == ["b"]
    assert one.take_due(11.0) == ["a"]
    assert one.first_timer is None


def test_a_run_that_is_suspended_without_a_moment_is_left_alone() -> None:
    one = dispatcher()
    suspended(one, "a")
    assert one.first_timer is None
    assert one.take_due(1e9) == []


def test_the_moment_of_an_earlier_rest_counts_no_more() -> None:
    one = dispatcher()
    suspended(one, "a", until=5.0)
    one.called("a")
    assert one.take_due(1.0) == ["a"]
    one.claimed("a")
    one.suspended("a", 20.0, 2)
    assert one.take_due(5.0) == []
    assert one.take_due(20.0) == ["a"]


def test_a_run_that_is_claimed_before_its_moment_is_not_woken_at_it() -> None:
    one = dispatcher()
    suspended(one, "a", until=5.0)
    one.claimed("a")
    assert one.take_due(5.0) == []
    assert one.take_nudges() == []


# --- from outside ------------------------------------------------------------------------------


def test_what_comes_from_outside_wakes_the_worker() -> None:
    one = dispatcher()
    in_hand(one, "a", "b")
    one.called("a")
    one.called("a")
    assert one.take_nudges() == ["a"]
    assert one.take_nudges() == []
    assert one.take_due(0) == []


def test_what_comes_from_outside_lets_a_suspended_run_be_woken_up() -> None:
    one = dispatcher()
    suspended(one, "a", until=5.0)
    one.called("a")
    assert one.take_due(1.0) == ["a"]
    assert one.take_nudges() == []
    assert one.take_due(5.0) == []


def test_a_paused_run_is_not_woken_up_and_a_resumed_one_is() -> None:
    one = dispatcher()
    create(one, "queued")
    one.paused("queued")
    assert one.take_due(0) == []
    one.resumed("queued")
    assert one.take_due(0) == ["queued"]


def test_a_pause_and_a_resume_wake_the_worker() -> None:
    one = dispatcher()
    in_hand(one, "a")
    one.paused("a")
    assert one.take_nudges() == ["a"]
    one.resumed("a")
    assert one.take_nudges() == ["a"]


def test_a_paused_run_is_suspended_through_everything_until_it_is_resumed() -> None:
    one = dispatcher()
    suspended(one, "a", until=5.0)
    create(one, "child", parent="a")
    claim(one, one.take_due(0))
    one.paused("a")
    one.called("a")
    one.ended("child", 9)
    assert one.take_due(5.0) == []
    one.resumed("a")
    assert one.take_due(6.0) == ["a"]


def test_a_run_paused_under_way_to_a_worker_is_woken_up_again_when_resumed() -> None:
    """The worker may have left it alone, seeing the pause."""
    one = dispatcher(per_user=1)
    create(one, "a", "b")
    assert one.take_due(0) == ["a"]
    one.paused("a")
    assert one.take_due(0) == ["b"], "it holds no place meanwhile"
    one.ended("b", 1)
    one.resumed("a")
    assert one.take_due(0) == ["a"]


def test_a_paused_run_that_shall_stop_is_woken_up() -> None:
    one = dispatcher()
    suspended(one, "a")
    one.paused("a")
    assert one.take_due(0) == []
    one.stopping("a")
    assert one.take_due(0) == ["a"]
    claim(one, ["a"])
    one.stopping("a")
    assert one.take_nudges() == ["a"]


def test_a_paused_run_that_shall_stop_is_woken_up_when_it_has_been_parked_long_enough() -> None:
    one = loaded(
        unfinished("a", is_suspended=True, wakes_at=5.0, is_paused=True, is_stopping=True),
        unfinished("b", is_suspended=True, wakes_at=5.0, is_paused=True),
    )
    assert one.take_due(0) == []
    assert one.take_due(5.0) == ["a"]


# --- parents and children ----------------------------------------------------------------------


def test_the_end_of_a_child_wakes_the_parents_worker() -> None:
    one = dispatcher()
    in_hand(one, "p")
    create(one, "c", parent="p")
    claim(one, one.take_due(0))
    one.ended("c", 7)
    assert one.take_nudges() == ["p"]


def test_the_end_of_a_child_wakes_up_a_parent_that_is_suspended() -> None:
    one = dispatcher()
    in_hand(one, "p")
    create(one, "c", parent="p")
    claim(one, one.take_due(0))
    one.suspended("p", None, 5)
    one.ended("c", 7)
    assert one.take_due(0) == ["p"]


@pytest.mark.parametrize(("seen", "woken"), [(6, ["p"]), (7, [])])
def test_the_end_of_a_child_before_the_rest_counts_if_it_was_not_seen(
    seen: int, woken: list[str]
) -> None:
    one = dispatcher()
    in_hand(one, "p")
    create(one, "c", parent="p")
    claim(one, one.take_due(0))
    one.ended("c", 7)
    one.suspended("p", None, seen)
    assert one.take_due(0) == woken


def test_a_parent_is_woken_up_once_however_many_children_end() -> None:
    one = dispatcher()
    suspended(one, "p")
    create(one, "c1", "c2", "c3", parent="p")
    claim(one, one.take_due(0))
    for position in (5, 6, 7):
        one.ended(f"c{position - 4}", position)
    assert one.take_due(0) == ["p"]
    one.claimed("p")
    one.suspended("p", None, 6)
    assert one.take_due(0) == ["p"], "the last end was not seen"


def test_the_end_of_a_child_whose_parent_has_ended_says_nothing() -> None:
    one = dispatcher()
    in_hand(one, "p")
    create(one, "c", parent="p")
    claim(one, one.take_due(0))
    one.ended("p", 6)
    one.ended("c", 7)
    assert one.take_due(0) == []
    assert one.take_nudges() == []


# --- beginning anew ----------------------------------------------------------------------------


def test_facts_about_unknown_runs_say_nothing() -> None:
    one = dispatcher()
    one.claimed("x")
    one.suspended("x", 1.0, 1)
    one.called("x")
    one.paused("x")
    one.resumed("x")
    one.ended("x", 1)
    assert one.take_due(2.0) == []
    assert one.take_nudges() == []


def test_what_was_queued_is_woken_up_after_a_load() -> None:
    assert loaded(unfinished("a"), unfinished("b")).take_due(0) == ["a", "b"]


def test_what_is_in_hand_at_a_load_counts_and_is_woken() -> None:
    one = Dispatcher(2, 2)
    one.load(unfinished("a", is_claimed=True))
    one.load(unfinished("b"))
    one.load(unfinished("c"))
    assert one.take_due(0) == ["b"]
    assert one.take_nudges() == ["a"]


def test_moments_are_kept_over_a_load() -> None:
    one = loaded(
        unfinished("over", is_suspended=True, wakes_at=3.0),
        unfinished("ahead", is_suspended=True, wakes_at=9.0),
        unfinished("never", is_suspended=True),
    )
    assert one.take_due(4.0) == ["over"]
    assert one.take_due(9.0) == ["ahead"]


@pytest.mark.parametrize(("child_ended", "woken"), [(6, ["p"]), (5, [])])
def test_an_end_of_a_child_that_was_not_seen_is_known_after_a_load(
    child_ended: int, woken: list[str]
) -> None:
    one = loaded(unfinished("p", is_suspended=True, seen=5, child_ended=child_ended))
    assert one.take_due(0) == woken


def test_an_end_of_a_child_is_remembered_over_a_load_until_the_parent_rests() -> None:
    one = loaded(unfinished("p", is_claimed=True, child_ended=6))
    one.suspended("p", None, 5)
    assert one.take_due(0) == ["p"]


def test_a_child_finds_its_parent_after_a_load() -> None:
    one = loaded(
        unfinished("p", is_suspended=True, seen=5),
        unfinished("c", parent="p", is_claimed=True),
    )
    one.ended("c", 9)
    assert one.take_due(0) == ["p"]


def test_what_is_paused_stays_so_over_a_load() -> None:
    one = loaded(
        unfinished("a", is_paused=True), unfinished("b", is_suspended=True, is_paused=True)
    )
    assert one.take_due(0) == []
    one.resumed("a")
    one.resumed("b")
    assert sorted(one.take_due(0)) == ["a", "b"]


def test_nothing_is_kept_of_runs_that_have_ended() -> None:
    one = dispatcher(per_user=10, per_graph=5)
    for user in range(20):
        runs = [f"{user}-{number}" for number in range(30)]
        create(one, *runs, user=f"user {user}", graph=f"graph {user % 3}")
        for position, run_id in enumerate(runs):
            one.take_due(position)
            if position % 3:
                one.claimed(run_id)
                one.called(run_id)
            if position % 3 == 2:
                one.suspended(run_id, position + 1e6, position)
            one.ended(run_id, position)
    assert (one.first_timer, one.first_wake_up, one.take_due(1e9)) == (None, None, [])
    assert (one._runs, one._nudges) == ({}, {})
    assert (one._queue._users, len(one._queue._turns)) == ({}, 0)
