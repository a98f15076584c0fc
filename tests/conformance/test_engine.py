"""Matching and order: the cases C1 to C21 of the engine's rules, on a whole installation."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.catalogue import CONTRACTS
from blocks.contract import AsyncYields
from blocks.data import AddToList, StoreValue
from blocks.logic import Calculator, Condition, StepThroughItems
from blocks.text import CombineTexts, FillTextTemplate, TextProcessing
from blocks.waiting import Wait
from domain import events
from domain.engine.plan import Plan
from domain.engine.run import Run, evolve
from domain.graph_files import read_draft
from domain.runs import RunCreated, RunStatus
from tests.support.api import Caller
from tests.support.graphs import Document, agent_input, agent_output, echo, graph, items, node
from workers.executor.nodes import Attempt

LATE_SECONDS = 0.05
"""How long the Wait blocks of these graphs hold a value back."""


def pairs(name: str = "s") -> Document:
    """A sink with the pins `input_$_0` and `input_$_1`, which puts both in one text."""
    return node(name, CombineTexts, delimiter="-")


async def test_c1_an_input_reaches_an_output(user: Caller) -> None:
    outcome = await user.run(echo(), {"x": {"any": [1, None]}, "unknown": 0})
    assert outcome.status == "COMPLETED"
    assert outcome.outputs == {"y": [{"any": [1, None]}]}


async def test_c2_each_yield_starts_its_own_execution(user: Caller) -> None:
    outcome = await user.run(
        graph(items("a", 1, 2, 3), agent_output("y"), links="a.item > y.value")
    )
    assert outcome.outputs == {"y": [1, 2, 3]}
    assert outcome.statuses("y") == ["COMPLETED"] * 3


JOINED = """
    a.item > s.input_$_0
    b.item > s.input_$_1
    s.output > y.value
"""


async def test_c3_two_pins_are_paired_first_in_first_out(user: Caller) -> None:
    nodes = (items("a", "a1", "a2"), items("b", "b1", "b2"), pairs(), agent_output("y"))
    outcome = await user.run(graph(*nodes, links=JOINED))
    assert outcome.outputs == {"y": ["a1-b1", "a2-b2"]}


async def test_c4_what_finds_no_partner_is_left_incomplete(user: Caller) -> None:
    nodes = (items("a", "a1", "a2"), items("b", "b1"), pairs(), agent_output("y"))
    outcome = await user.run(graph(*nodes, links=JOINED))
    assert outcome.status == "COMPLETED"
    assert outcome.outputs == {"y": ["a1-b1"]}
    assert outcome.statuses("s") == ["COMPLETED", "INCOMPLETE"]
    assert outcome.executions["s"][1]["input_data"] == {"input_$_0": "a2"}


async def test_c5_two_links_into_one_pin_are_no_join(user: Caller) -> None:
    links = """
        a.item > y.value
        b.item > y.value
    """
    outcome = await user.run(
        graph(items("a", "a"), items("b", "b"), agent_output("y"), links=links)
    )
    assert outcome.outputs == {"y": ["a", "b"]}


async def test_c6_a_static_value_is_used_again(user: Caller) -> None:
    links = """
        v.result > s.input_$_0
        a.item > s.input_$_1
        s.output > y.value
    """
    nodes = (agent_input("v"), items("a", "1", "2", "3"), pairs(), agent_output("y"))
    outcome = await user.run(graph(*nodes, links=links), {"v": "V"})
    assert outcome.outputs == {"y": ["V-1", "V-2", "V-3"]}


async def test_c7_a_late_static_value_releases_all_that_wait(user: Caller) -> None:
    links = """
        late.output > v.input
        v.output > s.input_$_0
        a.item > s.input_$_1
        s.output > y.value
    """
    late = node("late", Wait, seconds=LATE_SECONDS, data="V")
    nodes = (late, node("v", StoreValue), items("a", "1", "2", "3"), pairs(), agent_output("y"))
    outcome = await user.run(graph(*nodes, links=links))
    assert outcome.outputs == {"y": ["V-1", "V-2", "V-3"]}
    arrived = outcome.executions["v"][0]["end_time"]
    assert all(e["add_time"] < arrived <= e["queue_time"] for e in outcome.executions["s"])


async def test_c7b_static_values_queue_up_and_the_last_is_repeated(user: Caller) -> None:
    links = """
        twice.item > v.input
        v.output > s.input_$_0
        late.output > a.items
        a.item > s.input_$_1
        s.output > y.value
    """
    late = node("late", Wait, seconds=LATE_SECONDS, data=["a1", "a2", "a3"])
    twice, v, a = items("twice", "v1", "v2"), node("v", StoreValue), node("a", StepThroughItems)
    outcome = await user.run(graph(twice, v, late, a, pairs(), agent_output("y"), links=links))
    assert outcome.outputs == {"y": ["v1-a1", "v2-a2", "v2-a3"]}


async def test_c8_keys_of_one_object_come_from_two_nodes(user: Caller) -> None:
    links = """
        a.item > fill.values_#_a
        b.item > fill.values_#_b
        fill.output > y.value
    """
    template = "{{ a }}, {{ b }}, {{ kept }}"
    fill = node("fill", FillTextTemplate, values={"kept": "k", "a": "old"}, format=template)
    outcome = await user.run(
        graph(items("a", 1), items("b", 2), fill, agent_output("y"), links=links)
    )
    assert [given["values"] for given in outcome.inputs("fill")] == [{"kept": "k", "a": 1, "b": 2}]
    assert outcome.outputs == {"y": ["1, 2, k"]}


async def test_c9_a_list_is_padded_up_to_its_index(user: Caller) -> None:
    links = """
        a.item > add.list_$_2
        add.updated_list > y.value
    """
    outcome = await user.run(
        graph(items("a", "v"), node("add", AddToList), agent_output("y"), links=links)
    )
    assert outcome.outputs == {"y": [[None, None, "v"]]}


async def test_c10_nothing_selected_is_nothing_delivered_and_null_is_something(
    user: Caller,
) -> None:
    links = """
        a.item_#_missing > y.value
        a.item > z.value
    """
    nodes = (items("a", {"missing": None}, {}, None), agent_output("y"), agent_output("z"))
    outcome = await user.run(graph(*nodes, links=links))
    assert outcome.outputs == {"z": [{"missing": None}, {}, None]}
    assert "y" not in outcome.executions


async def test_c11_a_path_selects_a_nested_value(user: Caller) -> None:
    nodes = (items("a", {"a": [5, 6]}), agent_output("y"))
    outcome = await user.run(graph(*nodes, links="a.item_#_a_$_0 > y.value"))
    assert outcome.outputs == {"y": [5]}


def failing(name: str) -> Document:
    return node(name, TextProcessing, text="x", operation="shout")


FAILURE = "Unsupported operation: shout"


async def test_c12_a_failure_is_an_output(user: Caller) -> None:
    outcome = await user.run(graph(failing("f"), agent_output("y"), links="f.error > y.value"))
    assert outcome.outputs == {"y": [FAILURE]}
    assert outcome.status == "COMPLETED"
    assert outcome.run["stats"]["node_error_count"] == 1
    assert outcome.statuses("f") == ["FAILED"]
    assert outcome.executions["f"][0]["output_data"] == {"error": [FAILURE]}


async def test_c13_a_failure_does_not_stop_the_others(user: Caller) -> None:
    links = """
        f.processed_text > never.value
        a.item > y.value
    """
    nodes = (failing("f"), agent_output("never"), items("a", 1), agent_output("y"))
    outcome = await user.run(graph(*nodes, links=links))
    assert outcome.status == "COMPLETED"
    assert outcome.outputs == {"y": [1]}
    assert outcome.run["stats"]["node_error_count"] == 1


async def yields_then_fails() -> AsyncYields:
    yield "item", "a"
    yield "error", FAILURE
    yield "item", "lost"


async def test_c14_what_came_before_a_failure_is_delivered() -> None:
    """No block of the catalogue yields and then fails, so the work is the test's own."""
    links = """
        f.item > y.value
        f.error > z.value
    """
    document = graph(items("f"), agent_output("y"), agent_output("z"), links=links)
    run = Run("run", Plan(read_draft(document), CONTRACTS))
    evolve(run, RunCreated("user", "graph", 1, inputs={}, steps_max=10))
    failed = await Attempt(run.executions[0]).finish(yields_then_fails())
    evolve(run, events.decode(failed.topic, failed.state))
    assert run.executions[0].status is RunStatus.FAILED
    assert run.outputs() == {"y": ["a"], "z": [FAILURE]}


@pytest.mark.parametrize("start", [items("start", 0), agent_input("start", value=0)])
async def test_c15_a_cycle_ends_where_its_condition_says(user: Caller, start: Document) -> None:
    turns = 7
    first = "item" if start["block_id"] == StepThroughItems.id else "result"
    links = f"""
        start.{first} > add.a
        add.result > test.value1
        test.yes_output > add.a
        test.no_output > y.value
    """
    add = node("add", Calculator, operation="Add", b=1)
    test = node("test", Condition, operator="<", value2=turns)
    outcome = await user.run(graph(start, add, test, agent_output("y"), links=links))
    assert outcome.status == "COMPLETED"
    assert outcome.outputs == {"y": [turns]}
    assert [given["a"] for given in outcome.inputs("add")] == list(range(turns))


@pytest.mark.parametrize(
    ("value", "sink", "output", "expected"),
    [
        (
            {"a": 1},
            node("s", TextProcessing, operation="upper"),
            ("text", "processed_text"),
            '{"A":1}',
        ),
        ("abc", node("s", AddToList, list=[1], entry=0), ("position", "updated_list"), [0, 1]),
        ("abc", node("s", Calculator, operation="Add", b=5), ("a", "result"), 5),
        (
            "1",
            node("s", Calculator, operation="Add", a=1, b=0.25),
            ("round_result", "result"),
            1,
        ),
    ],
)
async def test_c17_values_become_what_the_pin_declares(
    user: Caller, value: Any, sink: Document, output: tuple[str, str], expected: Any
) -> None:
    links = f"""
        a.item > s.{output[0]}
        s.{output[1]} > y.value
    """
    outcome = await user.run(graph(items("a", value), sink, agent_output("y"), links=links))
    assert outcome.outputs == {"y": [expected]}


async def test_c20_a_linked_pin_never_falls_back_to_its_default(user: Caller) -> None:
    test = node("test", Condition, value1=1, operator="==", value2=1)
    nodes = (test, agent_output("y", value="default"))
    outcome = await user.run(graph(*nodes, links="test.no_output > y.value"))
    assert outcome.status == "COMPLETED"
    assert outcome.outputs == {}
    assert "y" not in outcome.executions


async def test_c21_a_linked_input_starts_and_is_started_again(user: Caller) -> None:
    links = """
        a.item > x.value
        x.result > y.value
    """
    nodes = (items("a", "delivered"), agent_input("x"), agent_output("y"))
    outcome = await user.run(graph(*nodes, links=links), {"x": "given"})
    assert outcome.outputs == {"y": ["given", "delivered"]}
