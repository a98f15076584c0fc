"""Who gets the next place: fair shares, one rule a test."""

from __future__ import annotations

import pytest

from domain.limits import worker_limits
from tests.workers.dispatcher.given import claim, create, dispatcher, suspended


def test_a_run_is_woken_up_once() -> None:
    one = dispatcher()
    create(one, "a")
    assert one.take_due(0) == ["a"]
    assert one.take_due(1) == []


def test_the_runs_of_a_user_wait_in_order() -> None:
    one = dispatcher(per_user=2)
    create(one, "a", "b", "c", "d")
    assert one.take_due(0) == ["a", "b"]
    one.ended("b", 1)
    assert one.take_due(0) == ["c"]
    one.ended("a", 2)
    assert one.take_due(0) == ["d"]


def test_ten_thousand_runs_of_one_user_do_not_delay_the_first_of_another() -> None:
    one = dispatcher()
    create(one, *(f"a{number}" for number in range(10_000)))
    first = one.take_due(0)
    create(one, "b", user="bob")
    claim(one, first)
    one.ended("a0", 1)
    assert one.take_due(0)[:2] == ["b", "a100"]


def test_users_take_turns() -> None:
    one = dispatcher()
    create(one, "a1", "a2", "a3")
    create(one, "b1", "b2", user="bob")
    create(one, "c1", user="cy")
    assert one.take_due(0) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_no_more_wake_ups_are_out_than_the_window_holds() -> None:
    one = dispatcher(per_user=10_000, per_graph=10_000)
    create(one, *(f"a{number}" for number in range(10_000)))
    first = one.take_due(0)
    assert len(first) == worker_limits.DISPATCH_WINDOW
    assert one.take_due(0) == []
    claim(one, first[:3])
    assert len(one.take_due(0)) == 3


@pytest.mark.parametrize("how", ["ends", "rests"])
def test_a_user_has_no_more_in_hand_than_the_limit(how: str) -> None:
    one = dispatcher(per_user=3)
    create(one, "a", "b", "c", "d")
    claim(one, one.take_due(0))
    assert one.take_due(0) == []
    if how == "ends":
        one.ended("b", 1)
    else:
        one.suspended("b", None, 1)
    assert one.take_due(0) == ["d"]


def test_a_graph_at_its_limit_lets_others_of_the_user_pass() -> None:
    one = dispatcher(per_graph=2)
    create(one, "a1", "a2", "a3", "a4", graph="a")
    create(one, "b1", "b2", graph="b")
    assert one.take_due(0) == ["a1", "a2", "b1", "b2"]
    one.ended("a2", 1)
    assert one.take_due(0) == ["a3"]
    create(one, "b3", graph="b")
    one.ended("a1", 2)
    assert one.take_due(0) == ["a4"], "older than b3"


def test_the_limit_of_a_graph_is_each_users_own() -> None:
    one = dispatcher(per_graph=1)
    create(one, "a1", "a2")
    create(one, "b1", "b2", user="bob")
    assert one.take_due(0) == ["a1", "b1"]


def test_whoever_vanishes_from_the_queue_of_a_full_graph_leaves_the_place_to_the_next() -> None:
    one = dispatcher(per_graph=1)
    create(one, "a", "b", "c")
    assert one.take_due(0) == ["a"]
    one.ended("a", 1)
    one.ended("b", 2)
    assert one.take_due(0) == ["c"]


def test_what_has_begun_goes_before_what_has_not() -> None:
    one = dispatcher(per_user=1)
    suspended(one, "old")
    create(one, "a", "b")
    create(one, "child", parent="old")
    one.called("old")
    order = []
    for position in range(4):
        [run_id] = one.take_due(0)
        order.append(run_id)
        one.ended(run_id, position)
    assert order == ["child", "old", "a", "b"]


def test_a_run_that_others_woke_up_counts_as_in_hand() -> None:
    one = dispatcher(per_user=2)
    create(one, "a", "b", "c")
    claim(one, ["c"])
    assert one.take_due(0) == ["a"]
    one.ended("c", 1)
    assert one.take_due(0) == ["b"]
