"""For whom is rung, and who is woken: one rule a test."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from domain import limits
from projections.runs import UnfinishedRun
from workers.dispatcher.dispatcher import Dispatcher

LATER = limits.DISPATCH_AGAIN_SECONDS + 1


def dispatcher(per_user: int = 100, per_graph: int = 100) -> Dispatcher:
    return Dispatcher(per_user, per_graph)


def create(
    one: Dispatcher, *run_ids: str, user: str = "ada", graph: str = "g", parent: str | None = None
) -> None:
    for run_id in run_ids:
        one.created(run_id, user, graph, parent)


def claim(one: Dispatcher, run_ids: Iterable[str]) -> None:
    for run_id in run_ids:
        one.claimed(run_id)


def in_hand(one: Dispatcher, *run_ids: str) -> None:
    """Runs that were rung for and claimed."""
    create(one, *run_ids)
    assert one.ring(0) == list(run_ids)
    claim(one, run_ids)


def resting(one: Dispatcher, *run_ids: str, until: float | None = None, seen: int = 0) -> None:
    in_hand(one, *run_ids)
    for run_id in run_ids:
        one.rested(run_id, until, seen)


def unfinished(
    run_id: str,
    *,
    parent: str | None = None,
    is_claimed: bool = False,
    rests: bool = False,
    wakes_at: float | None = None,
    seen: int = 0,
    child_ended: int = 0,
    is_paused: bool = False,
) -> UnfinishedRun:
    return UnfinishedRun(
        *(run_id, "ada", "g", parent, is_claimed, rests, wakes_at, seen, child_ended, is_paused)
    )


def loaded(*known: UnfinishedRun) -> Dispatcher:
    one = dispatcher()
    for run in known:
        one.load(run)
    return one


# --- fair shares -------------------------------------------------------------------------------


def test_a_run_is_rung_for_once() -> None:
    one = dispatcher()
    create(one, "a")
    assert one.ring(0) == ["a"]
    assert one.ring(1) == []


def test_the_runs_of_a_user_wait_in_order() -> None:
    one = dispatcher(per_user=2)
    create(one, "a", "b", "c", "d")
    assert one.ring(0) == ["a", "b"]
    one.ended("b", 1)
    assert one.ring(0) == ["c"]
    one.ended("a", 2)
    assert one.ring(0) == ["d"]


def test_ten_thousand_runs_of_one_user_do_not_delay_the_first_of_another() -> None:
    one = dispatcher()
    create(one, *(f"a{number}" for number in range(10_000)))
    first = one.ring(0)
    create(one, "b", user="bob")
    claim(one, first)
    one.ended("a0", 1)
    assert one.ring(0)[:2] == ["b", "a100"]


def test_users_take_turns() -> None:
    one = dispatcher()
    create(one, "a1", "a2", "a3")
    create(one, "b1", "b2", user="bob")
    create(one, "c1", user="cy")
    assert one.ring(0) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_no_more_bells_are_out_than_the_window_holds() -> None:
    one = dispatcher(per_user=10_000, per_graph=10_000)
    create(one, *(f"a{number}" for number in range(10_000)))
    first = one.ring(0)
    assert len(first) == limits.DISPATCH_WINDOW
    assert one.ring(0) == []
    claim(one, first[:3])
    assert len(one.ring(0)) == 3


@pytest.mark.parametrize("how", ["ends", "rests"])
def test_a_user_has_no_more_in_hand_than_the_limit(how: str) -> None:
    one = dispatcher(per_user=3)
    create(one, "a", "b", "c", "d")
    claim(one, one.ring(0))
    assert one.ring(0) == []
    if how == "ends":
        one.ended("b", 1)
    else:
        one.rested("b", None, 1)
    assert one.ring(0) == ["d"]


def test_a_graph_at_its_limit_lets_others_of_the_user_pass() -> None:
    one = dispatcher(per_graph=2)
    create(one, "a1", "a2", "a3", "a4", graph="a")
    create(one, "b1", "b2", graph="b")
    assert one.ring(0) == ["a1", "a2", "b1", "b2"]
    one.ended("a2", 1)
    assert one.ring(0) == ["a3"]
    create(one, "b3", graph="b")
    one.ended("a1", 2)
    assert one.ring(0) == ["a4"], "older than b3"


def test_the_limit_of_a_graph_is_each_users_own() -> None:
    one = dispatcher(per_graph=1)
    create(one, "a1", "a2")
    create(one, "b1", "b2", user="bob")
    assert one.ring(0) == ["a1", "b1"]


def test_whoever_vanishes_from_the_queue_of_a_full_graph_leaves_the_place_to_the_next() -> None:
    one = dispatcher(per_graph=1)
    create(one, "a", "b", "c")
    assert one.ring(0) == ["a"]
    one.ended("a", 1)
    one.ended("b", 2)
    assert one.ring(0) == ["c"]


def test_what_has_begun_goes_before_what_has_not() -> None:
    one = dispatcher(per_user=1)
    resting(one, "old")
    create(one, "a", "b")
    create(one, "child", parent="old")
    one.called("old")
    order = []
    for position in range(4):
        [run_id] = one.ring(0)
        order.append(run_id)
        one.ended(run_id, position)
    assert order == ["child", "old", "a", "b"]


def test_a_run_that_others_rang_for_counts_as_in_hand() -> None:
    one = dispatcher(per_user=2)
    create(one, "a", "b", "c")
    claim(one, ["c"])
    assert one.ring(0) == ["a"]
    one.ended("c", 1)
    assert one.ring(0) == ["b"]


# --- lost bells --------------------------------------------------------------------------------


def test_a_bell_that_is_lost_is_rung_again_before_those_whose_turn_has_not_come() -> None:
    one = dispatcher(per_user=2)
    create(one, "a", "b", "c")
    assert one.ring(0) == ["a", "b"]
    one.claimed("b")
    assert one.first_bell == 0
    one.bells_lost(0)
    assert one.ring(LATER) == ["a"]
    assert one.first_bell == LATER


def test_a_bell_that_waits_is_not_lost() -> None:
    one = dispatcher()
    create(one, "a")
    one.ring(0)
    create(one, "b")
    one.ring(1)
    one.bells_waiting(0, LATER)
    assert one.first_bell == 1
    one.bells_lost(1)
    assert one.ring(LATER) == ["b"]


def test_no_bell_is_missed_of_a_run_that_has_ended() -> None:
    one = dispatcher()
    create(one, "a")
    one.ring(0)
    one.ended("a", 1)
    assert one.first_bell is None
    one.bells_lost(LATER)
    assert one.ring(LATER) == []


# --- resting -----------------------------------------------------------------------------------


def test_a_run_that_rests_is_rung_for_at_its_moment() -> None:
    one = dispatcher()
    resting(one, "a", until=10.0)
    resting(one, "b", until=5.0)
    assert one.first_alarm == 5.0
    assert one.ring(4.999) == []
    assert one.ring(5.0) == ["b"]
    assert one.ring(11.0) == ["a"]
    assert one.first_alarm is None


def test_a_run_that_rests_without_a_moment_is_left_alone() -> None:
    one = dispatcher()
    resting(one, "a")
    assert one.first_alarm is None
    assert one.ring(1e9) == []


def test_the_moment_of_an_earlier_rest_counts_no_more() -> None:
    one = dispatcher()
    resting(one, "a", until=5.0)
    one.called("a")
    assert one.ring(1.0) == ["a"]
    one.claimed("a")
    one.rested("a", 20.0, 2)
    assert one.ring(5.0) == []
    assert one.ring(20.0) == ["a"]


def test_a_run_that_is_claimed_before_its_moment_is_not_woken_at_it() -> None:
    one = dispatcher()
    resting(one, "a", until=5.0)
    one.claimed("a")
    assert one.ring(5.0) == []
    assert one.take_wakes() == []


# --- from outside ------------------------------------------------------------------------------


def test_what_comes_from_outside_wakes_the_worker() -> None:
    one = dispatcher()
    in_hand(one, "a", "b")
    one.called("a")
    one.called("a")
    assert one.take_wakes() == ["a"]
    assert one.take_wakes() == []
    assert one.ring(0) == []


def test_what_comes_from_outside_lets_a_resting_run_be_rung_for() -> None:
    one = dispatcher()
    resting(one, "a", until=5.0)
    one.called("a")
    assert one.ring(1.0) == ["a"]
    assert one.take_wakes() == []
    assert one.ring(5.0) == []


def test_a_paused_run_is_not_rung_for_and_a_resumed_one_is() -> None:
    one = dispatcher()
    create(one, "queued")
    one.paused("queued")
    assert one.ring(0) == []
    one.resumed("queued")
    assert one.ring(0) == ["queued"]


def test_a_pause_and_a_resume_wake_the_worker() -> None:
    one = dispatcher()
    in_hand(one, "a")
    one.paused("a")
    assert one.take_wakes() == ["a"]
    one.resumed("a")
    assert one.take_wakes() == ["a"]


def test_a_paused_run_rests_through_everything_until_it_is_resumed() -> None:
    one = dispatcher()
    resting(one, "a", until=5.0)
    create(one, "child", parent="a")
    claim(one, one.ring(0))
    one.paused("a")
    one.called("a")
    one.ended("child", 9)
    assert one.ring(5.0) == []
    one.resumed("a")
    assert one.ring(6.0) == ["a"]


def test_a_run_paused_under_way_to_a_worker_is_rung_for_again_when_resumed() -> None:
    """The worker may have left it alone, seeing the pause."""
    one = dispatcher(per_user=1)
    create(one, "a", "b")
    assert one.ring(0) == ["a"]
    one.paused("a")
    assert one.ring(0) == ["b"], "it holds no place meanwhile"
    one.ended("b", 1)
    one.resumed("a")
    assert one.ring(0) == ["a"]


# --- parents and children ----------------------------------------------------------------------


def test_the_end_of_a_child_wakes_the_parents_worker() -> None:
    one = dispatcher()
    in_hand(one, "p")
    create(one, "c", parent="p")
    claim(one, one.ring(0))
    one.ended("c", 7)
    assert one.take_wakes() == ["p"]


def test_the_end_of_a_child_rings_for_a_parent_that_rests() -> None:
    one = dispatcher()
    in_hand(one, "p")
    create(one, "c", parent="p")
    claim(one, one.ring(0))
    one.rested("p", None, 5)
    one.ended("c", 7)
    assert one.ring(0) == ["p"]


@pytest.mark.parametrize(("seen", "rung"), [(6, ["p"]), (7, [])])
def test_the_end_of_a_child_before_the_rest_counts_if_it_was_not_seen(
    seen: int, rung: list[str]
) -> None:
    one = dispatcher()
    in_hand(one, "p")
    create(one, "c", parent="p")
    claim(one, one.ring(0))
    one.ended("c", 7)
    one.rested("p", None, seen)
    assert one.ring(0) == rung


def test_a_parent_is_rung_for_once_however_many_children_end() -> None:
    one = dispatcher()
    resting(one, "p")
    create(one, "c1", "c2", "c3", parent="p")
    claim(one, one.ring(0))
    for position in (5, 6, 7):
        one.ended(f"c{position - 4}", position)
    assert one.ring(0) == ["p"]
    one.claimed("p")
    one.rested("p", None, 6)
    assert one.ring(0) == ["p"], "the last end was not seen"


def test_the_end_of_a_child_whose_parent_has_ended_says_nothing() -> None:
    one = dispatcher()
    in_hand(one, "p")
    create(one, "c", parent="p")
    claim(one, one.ring(0))
    one.ended("p", 6)
    one.ended("c", 7)
    assert one.ring(0) == []
    assert one.take_wakes() == []


# --- beginning anew ----------------------------------------------------------------------------


def test_facts_about_unknown_runs_say_nothing() -> None:
    one = dispatcher()
    one.claimed("x")
    one.rested("x", 1.0, 1)
    one.called("x")
    one.paused("x")
    one.resumed("x")
    one.ended("x", 1)
    assert one.ring(2.0) == []
    assert one.take_wakes() == []


def test_what_was_queued_is_rung_for_after_a_load() -> None:
    assert loaded(unfinished("a"), unfinished("b")).ring(0) == ["a", "b"]


def test_what_is_in_hand_at_a_load_counts_and_is_woken() -> None:
    one = Dispatcher(2, 2)
    one.load(unfinished("a", is_claimed=True))
    one.load(unfinished("b"))
    one.load(unfinished("c"))
    assert one.ring(0) == ["b"]
    assert one.take_wakes() == ["a"]


def test_moments_are_kept_over_a_load() -> None:
    one = loaded(
        unfinished("over", rests=True, wakes_at=3.0),
        unfinished("ahead", rests=True, wakes_at=9.0),
        unfinished("never", rests=True),
    )
    assert one.ring(4.0) == ["over"]
    assert one.ring(9.0) == ["ahead"]


@pytest.mark.parametrize(("child_ended", "rung"), [(6, ["p"]), (5, [])])
def test_an_end_of_a_child_that_was_not_seen_is_known_after_a_load(
    child_ended: int, rung: list[str]
) -> None:
    one = loaded(unfinished("p", rests=True, seen=5, child_ended=child_ended))
    assert one.ring(0) == rung


def test_an_end_of_a_child_is_remembered_over_a_load_until_the_parent_rests() -> None:
    one = loaded(unfinished("p", is_claimed=True, child_ended=6))
    one.rested("p", None, 5)
    assert one.ring(0) == ["p"]


def test_a_child_finds_its_parent_after_a_load() -> None:
    one = loaded(
        unfinished("p", rests=True, seen=5),
        unfinished("c", parent="p", is_claimed=True),
    )
    one.ended("c", 9)
    assert one.ring(0) == ["p"]


def test_what_is_paused_stays_so_over_a_load() -> None:
    one = loaded(unfinished("a", is_paused=True), unfinished("b", rests=True, is_paused=True))
    assert one.ring(0) == []
    one.resumed("a")
    one.resumed("b")
    assert sorted(one.ring(0)) == ["a", "b"]


def test_nothing_is_kept_of_runs_that_have_ended() -> None:
    one = dispatcher(per_user=10, per_graph=5)
    for user in range(20):
        runs = [f"{user}-{number}" for number in range(30)]
        create(one, *runs, user=f"user {user}", graph=f"graph {user % 3}")
        for position, run_id in enumerate(runs):
            one.ring(position)
            if position % 3:
                one.claimed(run_id)
                one.called(run_id)
            if position % 3 == 2:
                one.rested(run_id, position + 1e6, position)
            one.ended(run_id, position)
    assert (one.first_alarm, one.first_bell, one.ring(1e9)) == (None, None, [])
    assert (one._runs, one._wakes) == ({}, {})
    assert (one._shares._users, len(one._shares._turns)) == ({}, 0)
