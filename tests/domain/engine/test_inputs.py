"""Defaults are prepared once, for all executions, and nothing else comes of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contracts import BlockContract
from domain.engine.evolve import evolve
from domain.engine.inputs import NodeInputs, Room
from domain.engine.plan import Plan
from domain.engine.run import Run
from domain.engine.schemas import compile_inputs
from domain.graphs.files import GraphDraft, Link, Node
from domain.limits import graph_limits, memory_limits
from domain.runs import NodeCompleted
from tests.domain.engine.given import CONTRACTS, created, watched
from tests.domain.values import json_values

GATHER = BlockContract(
    "gather",
    "GatherBlock",
    {
        "list": {"type": "array"},
        "data": {"type": "object", "maxProperties": 2},
        "count": {"type": "integer"},
        "any": {},
    },
    {"out": {}},
    required=("count", "any"),
)
SOURCES = tuple(Node(name, "step") for name in "xy")


def fed(defaults: dict[str, Any], *links: Link) -> Run:
    """Two sources that are ready, over whose links a node gathers."""
    nodes = (*SOURCES, Node("g", "gather", {"count": 1, **defaults}))
    graph = GraphDraft(name="Example", nodes=nodes, links=links)
    run = watched(Plan(graph, {**CONTRACTS, "gather": GATHER}))
    return evolve(run, created())


def entries(run: Run) -> list[dict[str, Any]]:
    return [e.data for e in run.executions.values() if e.node.node.node_id == "g"]


def test_a_default_that_is_a_text_is_read_once() -> None:
    run = fed({"list": "[[1],2]"}, Link("", "x", "g", "out", "any"))
    evolve(run, NodeCompleted(0, "x", [("out", n) for n in range(3)], elapsed_us=1))
    first, *others = entries(run)
    assert first == {"list": [[1], 2], "count": 1, "any": 0}
    assert len(others) == 2
    assert all(other["list"] is first["list"] for other in others)


def test_a_static_value_is_read_once_as_long_as_it_stays() -> None:
    links = (Link("", "x", "g", "out", "any"), Link("", "y", "g", "out", "list", is_static=True))
    run = fed({}, *links)
    text = "[[1],2]"
    evolve(run, NodeCompleted(1, "y", [("out", text)], elapsed_us=1))
    evolve(run, NodeCompleted(0, "x", [("out", n) for n in range(3)], elapsed_us=1))
    first, *others = entries(run)
    assert first["list"] == [[1], 2]
    assert len(others) == 2
    assert all(other["list"] is first["list"] for other in others)


def test_the_defaults_of_a_path_are_built_once() -> None:
    run = fed({"data_#_a_#_b": 1, "list_$_1": 2}, Link("", "x", "g", "out", "any_#_c"))
    evolve(run, NodeCompleted(0, "x", [("out", n) for n in range(2)], elapsed_us=1))
    first, second = entries(run)
    assert first["data"] == {"a": {"b": 1}}
    assert first["list"] == [None, 2]
    assert [first["any"], second["any"]] == [{"c": 0}, {"c": 1}]
    assert first["data"] is second["data"]
    assert first["list"] is second["list"]


PINS = ["list", "data", "count", "any", "more", "data_#_a", "data_#_a_#_b", "list_$_1", "list_$_x"]
values_by_pin = st.dictionaries(st.sampled_from(PINS), json_values)


@pytest.mark.parametrize("items", [memory_limits.PLAN_ITEMS_MAX, 1])
@given(values_by_pin, values_by_pin, st.sets(st.sampled_from(PINS)))
def test_it_is_as_if_all_were_prepared_each_time(
    items: int, defaults: dict[str, Any], given: dict[str, Any], expected: set[str]
) -> None:
    rules = compile_inputs(GATHER)
    room = Room()
    room.items_left = items
    before = copy.deepcopy(defaults)
    inputs = NodeInputs(rules, defaults, sorted(expected), room)
    for brought in (given, {}, given):
        data, problems = rules.prepare({**defaults, **brought})
        found, found_problems = inputs.prepare(brought, None)
        assert found == data
        assert sorted(found_problems) == sorted(problems)
    assert defaults == before


def test_what_is_kept_for_all_nodes_of_a_graph_has_a_bound() -> None:
    padded = {
        f"list_$_{graph_limits.LIST_PAD_MAX}": 1,
        f"data_#_a_$_{graph_limits.LIST_PAD_MAX}": 1,
    }
    room, rules = Room(), compile_inputs(GATHER)
    count = memory_limits.PLAN_ITEMS_MAX // (2 * graph_limits.LIST_PAD_MAX) + 3
    nodes = [NodeInputs(rules, padded, (), room) for _ in range(count)]
    again = [
        node.prepare({}, None)[0]["list"] is node.prepare({}, None)[0]["list"] for node in nodes
    ]
    assert 0 < again.count(True) * 2 * graph_limits.LIST_PAD_MAX <= memory_limits.PLAN_ITEMS_MAX
    assert again.count(False) >= 3
