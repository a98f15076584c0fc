from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import GraphInvalid
from domain.graphs.checks import (
    check_for_run,
    check_structure,
    input_schema,
    output_schema,
    static_links,
)
from domain.graphs.files import GraphDraft, Node
from domain.limits import graph_limits
from tests.domain.graphs.given import CONTRACTS, draft, join

REQUIRED = "This field is required"


def refusal(graph: GraphDraft, *, allow_cycles: bool = False) -> GraphInvalid:
    with pytest.raises(GraphInvalid) as raised:
        check_structure(graph, CONTRACTS, allow_cycles=allow_cycles)
    return raised.value


def run_refusal(graph: GraphDraft, *inputs: str) -> GraphInvalid:
    with pytest.raises(GraphInvalid) as raised:
        check_for_run(graph, CONTRACTS, inputs)
    return raised.value


AB = (join("a"), join("b"))


@pytest.mark.parametrize(
    ("source", "sink"),
    [
        ("a.output", "b.text"),
        ("a.error", "b.text"),
        ("a.output_#_key_$_0", "b.values_#_key"),
        ("a.tools", "b.text"),
        ("a.tools_^_b_~_text", "b.text"),
        ("a.output", "b.list_$_3"),
        ("a.output", "b.values_#_"),
    ],
)
def test_sound_links(source: str, sink: str) -> None:
    check_structure(draft(AB, (source, sink)), CONTRACTS, allow_cycles=False)


@pytest.mark.parametrize(
    ("source", "sink", "node", "field", "message"),
    [
        ("gone.output", "b.text", "b", "text", "there is no node gone"),
        ("a.output", "gone.text", "a", "output", "there is no node gone"),
        (
            "a.other_#_x",
            "b.text",
            "a",
            "other_#_x",
            "JoinBlock has no output 'other', only: output, tools, error",
        ),
        (
            "a.output",
            "b.other_$_0",
            "b",
            "other_$_0",
            "JoinBlock has no input 'other', only: text, values, list",
        ),
        (
            "a.output",
            "b.list_$_x",
            "b",
            "list_$_x",
            "'x' is not a list index: it must be a whole number from 0 to 1000",
        ),
    ],
)
def test_unsound_links(source: str, sink: str, node: str, field: str, message: str) -> None:
    refused = refusal(draft(AB, (source, sink)))
    assert refused.message == f"Link from {source} to {sink}: {message}"
    assert refused.errors == [refused.message]
    assert refused.node_errors == {node: {field: message}}


def test_a_link_between_no_nodes_belongs_to_none() -> None:
    refused = refusal(draft(AB, ("x.output", "y.text")))
    assert refused.node_errors == {}
    assert [error.rpartition(": ")[2] for error in refused.errors] == [
        "there is no node x",
        "there is no node y",
    ]


def test_an_unknown_block_is_named_once() -> None:
    refused = refusal(draft([Node("a", "gone"), join("b")], ("a.any", "b.text")))
    assert refused.errors == ["Node a: Block gone does not exist"]
    assert refused.node_errors == {"a": {"block_id": "Block gone does not exist"}}


def test_a_default_with_a_bad_path_is_refused() -> None:
    refused = refusal(draft([join("a", **{"list_$_x": 1, "list_$_0": 1})]))
    assert refused.message.startswith("Node a: list_$_x: 'x' is not a list index")
    assert list(refused.node_errors["a"]) == ["list_$_x"]


def test_defaults_whose_paths_make_too_much_are_refused() -> None:
    defaults = {f"list_$_{i}_$_{graph_limits.LIST_PAD_MAX}": 1 for i in range(11)}
    (error,) = refusal(draft([join("a", **defaults)])).errors
    assert error.startswith("Node a: list_$_9_$_1000: the paths of this node's pins lead over")


def test_every_problem_is_told_up_to_a_bound() -> None:
    many = [Node(str(number), "gone") for number in range(graph_limits.GRAPH_ERRORS_MAX + 5)]
    refused = refusal(draft(many))
    assert len(refused.errors) == len(refused.node_errors) == graph_limits.GRAPH_ERRORS_MAX


@pytest.mark.parametrize(
    ("links", "cycle"),
    [
        ([("a", "a")], "a -> a"),
        ([("a", "b"), ("b", "a")], "a -> b -> a"),
        ([("a", "b"), ("b", "c"), ("c", "b")], "b -> c -> b"),
        ([("c", "d"), ("d", "e"), ("e", "c"), ("a", "b")], "c -> d -> e -> c"),
        ([("a", "gone"), ("gone", "a"), ("b", "b")], "b -> b"),
    ],
)
def test_a_cycle_is_refused_unless_allowed(links: list[tuple[str, str]], cycle: str) -> None:
    ends = [(f"{source}.output", f"{sink}.text") for source, sink in links]
    graph = draft([join(name) for name in "abcde"], *ends)
    assert f"图中存在循环依赖: {cycle}" in refusal(graph).errors
    if "gone" not in dict(links):
        assert refusal(graph).message == f"图中存在循环依赖: {cycle}"
        check_structure(graph, CONTRACTS, allow_cycles=True)


def test_a_chain_of_the_greatest_length_is_walked() -> None:
    last = graph_limits.GRAPH_NODES_MAX - 1
    chain = [(f"{number}.output", f"{number + 1}.text") for number in range(last)]
    nodes = [join(str(number)) for number in range(last + 1)]
    check_structure(draft(nodes, *chain), CONTRACTS, allow_cycles=False)
    message = refusal(draft(nodes, *chain, (f"{last}.output", "0.text"))).message
    shown = graph_limits.GRAPH_CYCLE_NODES_SHOWN_MAX
    assert message.startswith("图中存在循环依赖: 0 -> 1 -> 2 -> ")
    assert message.endswith(f" -> {shown - 1} -> … -> 0")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=12))
def test_cycles_agree_with_a_topological_sort(links: list[tuple[str, str]]) -> None:
    ends = [(f"{source}.output", f"{sink}.text") for source, sink in links]
    graph = draft([join(name) for name in "abcdef"], *ends)
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for source, sink in links:
        sorter.add(sink, source)
    try:
        sorter.prepare()
    except CycleError:
        cycle = refusal(graph).message.removeprefix("图中存在循环依赖: ").split(" -> ")
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert set(pairwise(cycle)) <= set(links)
    else:
        check_structure(graph, CONTRACTS, allow_cycles=False)


@pytest.mark.parametrize("block_id", ["input", "output"])
@pytest.mark.parametrize(
    ("given", "links", "message"),
    [
        ({}, [], REQUIRED),
        ({"name": None}, [], REQUIRED),
        ({"name": 5}, [], "must be text"),
        ({"name": "n"}, [], None),
        ({}, [("a.output", "io.name")], None),
    ],
)
def test_the_interface_needs_names(
    block_id: str, given: dict[str, Any], links: list[tuple[str, str]], message: str | None
) -> None:
    graph = draft([Node("io", block_id, given), join("a")], *links)
    if message is None:
        check_structure(graph, CONTRACTS, allow_cycles=False)
    else:
        assert refusal(graph).message == f"Node io: name: {message}"
        assert refusal(graph).node_errors == {"io": {"name": message}}


@pytest.mark.parametrize("name", ["credentials", "github_credentials"])
def test_reserved_input_names(name: str) -> None:
    graph = draft([Node("io", "input", {"name": name})])
    expected = {"io": {"name": f"{name!r} is a reserved input name"}}
    assert refusal(graph).node_errors == run_refusal(graph).node_errors == expected
    for allowed in (
        Node("io", "output", {"name": name}),
        Node("io", "input", {"name": f"{name}_"}),
    ):
        check_structure(draft([allowed]), CONTRACTS, allow_cycles=False)


def test_a_run_needs_every_required_pin() -> None:
    graph = draft(
        [join("a"), join("b", text="t", **{"values_#_x": 1}), join("c", text=None), join("d")],
        ("a.output", "b.text"),
        ("b.output", "c.values_$_0"),
        ("b.output", "d.text"),
    )
    check_structure(graph, CONTRACTS, allow_cycles=False)
    refused = run_refusal(graph)
    assert refused.message == "Graph validation failed: 4 issues on 3 nodes"
    assert refused.node_errors == {
        "a": {"text": REQUIRED, "values": REQUIRED},
        "c": {"text": REQUIRED},
        "d": {"values": REQUIRED},
    }
    assert refused.errors[0] == f"Node a: text: {REQUIRED}"


def test_issues_beyond_the_bound_are_counted() -> None:
    count = graph_limits.GRAPH_ERRORS_MAX
    refused = run_refusal(draft(join(str(number)) for number in range(count)))
    assert refused.message == f"Graph validation failed: {3 * count} issues on {count} nodes"
    assert len(refused.errors) == count


def test_an_input_may_come_with_the_run() -> None:
    contract = msgspec.structs.replace(CONTRACTS["input"], required=("name", "value"))
    graph = draft([Node("io", "input", {"name": "age"})])
    check_for_run(graph, {"input": contract}, {"age": 5})
    with pytest.raises(GraphInvalid) as raised:
        check_for_run(graph, {"input": contract}, {"other": 5})
    assert raised.value.node_errors == {"io": {"value": REQUIRED}}


def test_isolated_nodes_are_refused_in_a_run_only() -> None:
    ready = {"text": "t", "values": {}}
    spare = [
        Node("i", "input", {"name": "i"}),
        Node("o", "output", {"name": "o"}),
        Node("n", "note"),
    ]
    check_for_run(draft([join("a", **ready)]), CONTRACTS, ())
    check_for_run(draft([join("a", **ready), Node("n", "note")]), CONTRACTS, ())
    linked = draft([join("a", **ready), join("b", **ready), *spare], ("a.output", "b.text"))
    check_for_run(linked, CONTRACTS, ())
    apart = draft([join("a", **ready), *spare])
    check_structure(apart, CONTRACTS, allow_cycles=False)
    refused = run_refusal(apart)
    assert refused.message == "Graph validation failed: 1 issues on 1 nodes"
    assert refused.errors == ["存在孤立节点: a"]
    assert refused.node_errors == {"a": {"links": "This node is not linked to any other"}}


def test_links_out_of_static_blocks_are_static() -> None:
    graph = draft(
        [Node("i", "input"), join("a"), join("b")],
        ("i.result", "a.text"),
        ("a.output", "b.text"),
        ("gone.output", "b.text"),
    )
    chosen = msgspec.structs.replace(graph.links[1], is_static=True)
    marked = static_links(graph, CONTRACTS)
    assert [link.is_static for link in marked.links] == [True, False, False]
    kept = msgspec.structs.replace(graph, links=(chosen,))
    assert static_links(kept, CONTRACTS).links == (chosen,)


def test_the_schema_of_inputs() -> None:
    graph = draft(
        [
            Node("1", "input", {"name": "age", "title": "Your age", "description": "In years"}),
            Node("2", "input", {"name": "limit", "value": 0, "advanced": True, "secret": True}),
            Node("3", "input", {"name": "hidden", "advanced": True}),
            Node("4", "input", {"value": "no name"}),
            Node("5", "output", {"name": "answer"}),
            join("6", name="not an input"),
        ]
    )
    number = {"anyOf": [{"type": "number"}, {"type": "null"}], "placeholder": "12"}
    assert input_schema(graph, CONTRACTS) == {
        "type": "object",
        "properties": {
            "age": {
                **number,
                "title": "Your age",
                "description": "In years",
                "secret": False,
                "advanced": False,
            },
            "limit": {**number, "title": "limit", "default": 0, "secret": True, "advanced": True},
            "hidden": {**number, "title": "hidden", "secret": False, "advanced": False},
        },
        "required": ["age", "hidden"],
    }
    assert output_schema(graph, CONTRACTS) == {
        "type": "object",
        "properties": {"answer": {"title": "answer", "secret": False, "advanced": False}},
        "required": ["answer"],
    }


def test_of_two_inputs_of_one_name_the_last_is_shown() -> None:
    graph = draft(
        [Node("1", "input", {"name": "x", "value": 1}), Node("2", "input", {"name": "x"})]
    )
    shown = input_schema(graph, CONTRACTS)
    assert list(shown["properties"]) == shown["required"] == ["x"]
