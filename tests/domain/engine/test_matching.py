"""Given a graph, when nodes yield, then these executions follow (docs/engine-rules.md, 4.4)."""

from __future__ import annotations

from typing import Any

import pytest

from domain.graphs.files import Node
from domain.limits import run_limits
from domain.runs import RunStatus
from tests.domain.engine.given import Given


# --- matching: D1, D2, D5, D6 ------------------------------------------------------------------
def test_values_of_two_pins_are_paired_in_order() -> None:
    run = Given("x.out > s.a", "y.out > s.b")
    run.yields("x", 1, 2)
    assert (run.queued("s"), run.waiting("s")) == ([], [{"a": 1}, {"a": 2}])
    run.yields("y", "one", "two")
    assert run.queued("s") == [{"a": 1, "b": "one"}, {"a": 2, "b": "two"}]


def test_what_finds_no_partner_waits_for_ever() -> None:
    run = Given("x.out > s.a", "y.out > s.b")
    run.yields("x", 1, 2, 3)
    run.yields("y", "one")
    run.yields("s")
    assert run.run.is_drained
    assert run.waiting("s") == [{"a": 2}, {"a": 3}]


def test_links_into_one_pin_are_alternatives() -> None:
    run = Given("x.out > s.a", "y.out > s.a")
    run.yields("y", "y")
    run.yields("x", "x")
    assert run.queued("s") == [{"a": "y"}, {"a": "x"}]


def test_two_links_carry_a_value_in_the_order_of_the_graph() -> None:
    run = Given("x.out > s.b", "x.out > s.a", "x.out > t.a")
    run.yields("x", 1, 2)
    assert run.queued("s") == [{"b": 1, "a": 1}, {"b": 2, "a": 2}]
    assert run.ready == ["s", "t", "s", "t"]


def test_null_is_a_value_where_the_names_are_equal_and_nothing_where_a_path_selects() -> None:
    run = Given("x.out > s.a", "x.out_#_key > t.a", "x.out_$_1 > u.a")
    run.yields("x", None, {"key": None}, {"key": 5}, {}, [0, 6])
    assert [data["a"] for data in run.queued("s")] == [None, {"key": None}, {"key": 5}, {}, [0, 6]]
    assert run.queued("t") == [{"a": 5}]
    assert run.queued("u") == [{"a": 6}]


def test_an_output_that_no_link_carries_goes_nowhere() -> None:
    run = Given("x.out > s.a")
    run.completes(run.at_hand("x")[0], ("more", 1), ("unknown", 2))
    assert run.executions("s") == []
    assert run.run.is_drained


def test_paths_build_one_value_over_the_default() -> None:
    target = Node("s", "step", {"a": {"kept": 0, "x": 0}})
    run = Given("x.out > s.a_#_x", "y.out > s.a_#_y", nodes=[target])
    run.yields("x", 1)
    run.yields("y", 2)
    assert [data["a"] for data in run.queued("s")] == [{"kept": 0, "x": 1, "y": 2}]


def test_a_linked_pin_never_falls_back_to_its_default() -> None:
    run = Given("x.out > s.a", "y.out > s.b", nodes=[Node("s", "step", {"b": "default", "c": 7})])
    run.yields("x", 1)
    assert run.queued("s") == []
    run.yields("y", "given")
    assert run.queued("s") == [{"a": 1, "b": "given", "c": 7}]


@pytest.mark.parametrize(("value", "ready"), [("5", [5]), (0, []), ("many", []), (None, [])])
def test_what_a_block_refuses_waits_silently(value: Any, ready: list[int]) -> None:
    run = Given("x.out > s.a", nodes=[Node("s", "strict")])
    run.yields("x", value)
    assert [data["a"] for data in run.queued("s")] == ready
    assert len(run.waiting("s")) == 1 - len(ready)
    assert run.run.errors == 0


# --- static links: D3, D7 ----------------------------------------------------------------------
def test_a_static_value_is_repeated() -> None:
    run = Given("v.out => s.a", "x.out > s.b")
    run.yields("v", "V")
    run.yields("x", 1, 2, 3)
    assert run.queued("s") == [{"a": "V", "b": number} for number in (1, 2, 3)]
    assert run.waiting("s") == []


def test_a_late_static_value_releases_all_that_wait() -> None:
    run = Given("v.out => s.a", "x.out > s.b")
    run.yields("x", 1, 2, 3)
    assert len(run.waiting("s")) == 3
    run.yields("v", "V")
    assert run.queued("s") == [{"b": number, "a": "V"} for number in (1, 2, 3)]


def test_static_values_are_used_up_in_order_and_only_the_last_is_repeated() -> None:
    run = Given("v.out => s.a", "x.out > s.b")
    run.yields("v", "first", "second")
    run.yields("x", 1, 2, 3)
    assert [(data["a"], data["b"]) for data in run.queued("s")] == [
        ("first", 1),
        ("second", 2),
        ("second", 3),
    ]


def test_static_values_alone_start_an_execution_like_any_other() -> None:
    run = Given("x.out > v.a", "v.out => s.a", "w.out => s.b")
    run.yields("x", "once", "again")
    run.yields("v", 1)
    run.yields("w", 2)
    assert run.queued("s") == [{"a": 1, "b": 2}]
    run.yields("v", 3)
    assert run.queued("s") == [{"a": 1, "b": 2}, {"a": 3, "b": 2}]


def test_only_a_static_link_releases_those_that_wait() -> None:
    """The pin `a` has two links; what came over the plain one concerns one execution alone."""
    run = Given("v.out => s.a", "x.out > s.a", "y.out > s.b")
    run.yields("y", 1, 2)
    run.yields("x", "plain")
    assert run.queued("s") == [{"b": 1, "a": "plain"}]
    assert run.waiting("s") == [{"b": 2}]
    run.yields("v", "static")
    assert run.queued("s")[1:] == [{"b": 2, "a": "static"}]


def test_a_release_fills_static_pins_also_where_other_pins_are_missing() -> None:
    run = Given("v.out => s.a", "x.out > s.b", "y.out > s.c")
    run.yields("x", 1, 2)
    run.yields("y", 1)
    run.yields("v", "V")
    assert run.queued("s") == [{"b": 1, "c": 1, "a": "V"}]
    assert run.waiting("s") == [{"b": 2, "a": "V"}]


# --- order: P2 ---------------------------------------------------------------------------------
def test_a_later_execution_that_finishes_first_is_routed_second() -> None:
    run = Given("x.out > s.a", "s.out > t.a")
    run.yields("x", 1, 2, 3)
    first, second, third = run.at_hand("s")
    run.completes(third, ("out", "third"))
    run.completes(second, ("out", "second"))
    assert run.queued("t") == []
    run.completes(first, ("out", "first"))
    assert [data["a"] for data in run.queued("t")] == ["first", "second", "third"]


def test_a_failed_execution_holds_nobody_back() -> None:
    run = Given("x.out > s.a", "s.out > t.a")
    run.yields("x", 1, 2)
    second = run.at_hand("s")[1]
    run.completes(second, ("out", "second"))
    run.fails("s", "broken")
    assert [data["a"] for data in run.queued("t")] == ["second"]


def test_nodes_do_not_wait_for_each_other() -> None:
    run = Given("x.out > s.a", "y.out > t.a")
    run.yields("y", 1)
    assert run.queued("t") == [{"a": 1}]
    assert run.queued("s") == []


# --- failures: N3-N5 ---------------------------------------------------------------------------
def test_a_failure_is_routed_behind_what_came_before_it() -> None:
    run = Given("x.out > s.a", "x.error > s.a", "x.error > t.a")
    run.fails("x", "broken", ("out", 1))
    assert [data["a"] for data in run.queued("s")] == [1, "broken"]
    assert [data["a"] for data in run.queued("t")] == ["broken"]
    assert run.executions("x")[0].status is RunStatus.FAILED
    assert run.run.errors == 1
    assert not run.run.is_ended


# --- starting: R3, R4 --------------------------------------------------------------------------
def test_sources_and_inputs_start_in_the_order_of_the_graph() -> None:
    nodes = [
        Node("note", "note"),
        Node("one", "input", {"name": "one", "value": "default"}),
        Node("two", "input", {"name": "two"}),
        Node("free", "step"),
    ]
    run = Given("one.result => s.a", nodes=nodes, inputs={"two": 2, "unknown": 3})
    assert run.ready == ["one", "two", "free"]
    assert run.queued("one") == [{"name": "one", "value": "default"}]
    assert run.queued("two") == [{"name": "two", "value": 2}]
    assert run.queued("note") == run.queued("s") == []


def test_a_linked_input_starts_and_is_started_again() -> None:
    nodes = [Node("i", "input", {"name": "i"})]
    run = Given("x.out > i.value", nodes=nodes, inputs={"i": "given"})
    run.yields("x", "delivered")
    assert [data["value"] for data in run.queued("i")] == ["given", "delivered"]


# --- loops and budgets -------------------------------------------------------------------------
def test_a_loop_goes_on_until_it_is_not_fed() -> None:
    run = Given("x.out > s.a", "s.out > s.a")
    run.yields("x", 0)
    for turn in range(5):
        run.yields("s", turn + 1)
    run.yields("s")
    assert run.run.is_drained
    assert [data["a"] for data in run.queued("s")] == [0, 1, 2, 3, 4, 5]


def test_a_loop_with_a_growing_list_exceeds_its_budget() -> None:
    run = Given("x.out > s.a", "s.out > s.a", steps_max=10)
    run.yields("x", [])
    while run.run.over_budget is None:
        assert len(run.executions("s")) < 12
        run.yields("s", [*run.at_hand("s")[0].data["a"], "entry"])
    assert run.run.steps == 11
    assert run.at_hand("s")[0].data["a"] == ["entry"] * 9


def test_every_execution_that_became_ready_is_a_step() -> None:
    run = Given("x.out > s.a", "y.out > s.b", steps_max=3)
    run.yields("x", 1, 2)
    assert (run.run.steps, run.run.over_budget) == (2, None)
    run.yields("y", 1, 2)
    assert run.run.steps == 4
    assert run.run.over_budget == "The run used up its budget of 3 node executions"


def test_many_deliveries_are_matched_one_by_one() -> None:
    """Every delivery finds its execution where the last one stopped looking."""
    count = run_limits.STEP_THROUGH_ITEMS_MAX
    run = Given("x.out > s.a", "y.out > s.b")
    run.yields("x", *range(count))
    run.yields("y", *range(count))
    assert all(data["a"] == data["b"] for data in run.queued("s"))
    assert len(run.queued("s")) == count


# --- outputs: 4.9 ------------------------------------------------------------------------------
def test_outputs_are_what_output_nodes_were_given_in_queue_order() -> None:
    nodes = [
        Node("late", "output", {"name": "same", "format": "{{ same }}!"}),
        Node("early", "output", {"name": "same"}),
        Node("other", "output", {"name": "other", "value": 0}),
        Node("silent", "output", {"name": "silent"}),
    ]
    run = Given("x.out > late.value", "y.out > early.value", "z.out > silent.value", nodes=nodes)
    run.yields("y", 1)
    run.yields("x", None, 3)
    run.fails("late", "broken")
    assert run.run.outputs_by_name() == {"other": [0], "same": [1, None, 3]}
