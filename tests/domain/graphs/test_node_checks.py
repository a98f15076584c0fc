"""What is particular to some nodes: agents, credentials, policies."""

from __future__ import annotations

from typing import Any

import pytest

from domain.contracts import BlockContract, BlockKind, Effect
from domain.errors import GraphInvalid
from domain.graphs.checks import check_for_run, check_structure, skipped_nodes
from domain.graphs.files import GraphDraft, Node
from domain.limits import graph_limits, value_limits
from tests.domain.graphs import given
from tests.domain.graphs.given import TEXT, draft, join

REQUIRED = "This field is required"
VERSION = ("graph_id", "graph_version")
PATHS_MAKE = "the paths of this node's pins lead over, copy, convert and pad with"
WHOLE_NUMBER = f"must be a whole number from 1 to {graph_limits.GRAPH_VERSION_MAX}"
MANY = tuple(str(number) for number in range(graph_limits.GRAPH_NODES_MAX + 1))
AT_MOST = f"must have at most {graph_limits.GRAPH_NODES_MAX} properties"

CONTRACTS = {
    **given.CONTRACTS,
    "agent": BlockContract(
        block_id="agent",
        name="AgentBlock",
        inputs={"graph_id": TEXT, "graph_version": {"type": "integer"}, "inputs": {}},
        outputs={},
        required=VERSION,
        kind=BlockKind.AGENT,
        effect=Effect.CHILD,
    ),
    "secret": BlockContract(
        block_id="secret",
        name="SecretBlock",
        inputs={"credentials": {"type": "object"}, "other": {"type": "object"}, "text": TEXT},
        outputs={"output": TEXT},
        credentials=("credentials", "other"),
    ),
}


def refusal(graph: GraphDraft) -> GraphInvalid:
    with pytest.raises(GraphInvalid) as raised:
        check_structure(graph, CONTRACTS, allow_cycles=False)
    return raised.value


def run_refusal(graph: GraphDraft) -> GraphInvalid:
    with pytest.raises(GraphInvalid) as raised:
        check_for_run(graph, CONTRACTS, ())
    return raised.value


def agent(node_id: str, **given: Any) -> Node:
    """A node of a graph with the inputs x and y and the output z."""
    properties = {
        "input_schema": {"type": "object", "properties": {"x": {}, "y": {}}},
        "output_schema": {"type": "object", "properties": {"z": {}}},
    }
    return Node(node_id, "agent", {"graph_id": "g", "graph_version": 1, **properties, **given})


@pytest.mark.parametrize(
    ("source", "sink"),
    [("a.output", "g.x"), ("a.output", "g.y_#_key"), ("g.z", "a.text"), ("g.error", "a.text")],
)
def test_the_pins_of_an_agent_are_those_of_its_graph(source: str, sink: str) -> None:
    graph = draft([join("a"), agent("g")], (source, sink))
    check_structure(graph, CONTRACTS, allow_cycles=False)


@pytest.mark.parametrize(
    ("given", "source", "sink", "problem"),
    [
        ({}, "a.output", "g.graph_id", "AgentBlock has no input 'graph_id', only: x, y"),
        ({}, "g.output", "a.text", "AgentBlock has no output 'output', only: z, error"),
        ({"input_schema": None}, "a.output", "g.x", "AgentBlock has no input 'x', only: "),
        ({"input_schema": {}}, "a.output", "g.x", "AgentBlock has no input 'x', only: "),
        (
            {"input_schema": {"properties": ["x"]}},
            "a.output",
            "g.x",
            "AgentBlock has no input 'x', only: ",
        ),
        ({"output_schema": {}}, "g.z", "a.text", "AgentBlock has no output 'z', only: error"),
    ],
)
def test_an_agent_has_no_other_pins(
    given: dict[str, Any], source: str, sink: str, problem: str
) -> None:
    refused = refusal(draft([join("a"), agent("g", **given)], (source, sink)))
    assert refused.message == f"Link from {source} to {sink}: {problem}"


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"inputs": None, "nodes_input_masks": None, "agent_name": 5}, {}),
        ({"graph_id": None, "graph_version": None}, dict.fromkeys(VERSION, REQUIRED)),
        ({"graph_id": ""}, {"graph_id": "must be the id of a graph"}),
        ({"graph_id": 5}, {"graph_id": "must be the id of a graph"}),
        *(
            ({"graph_version": value}, {"graph_version": WHOLE_NUMBER})
            for value in (0, True, 1.0, "1", 2**31)
        ),
        ({"inputs": []}, {"inputs": "must be an object"}),
        ({"output_schema": "x"}, {"output_schema": "must be an object"}),
        (
            {"inputs": {"x_$_y": 1}},
            {"inputs": "'y' is not a list index: it must be a whole number from 0 to 1000"},
        ),
        (
            {"inputs": {f"x_$_{i}_$_1000": 1 for i in range(11)}},
            {"inputs": f"{PATHS_MAKE} more than 10000 items"},
        ),
        *(
            ({field: {"properties": {name: {} for name in MANY}}}, {field: AT_MOST})
            for field in ("input_schema", "output_schema")
        ),
        (
            {"nodes_input_masks": {"n": {}}},
            {"nodes_input_masks": "must be empty: set the pins in the agent itself"},
        ),
    ],
)
def test_an_agent_names_a_version_of_a_graph(
    given: dict[str, Any], problems: dict[str, str]
) -> None:
    graph = draft([agent("g", **given)])
    if problems:
        assert refusal(graph).node_errors == run_refusal(graph).node_errors == {"g": problems}
    else:
        check_structure(graph, CONTRACTS, allow_cycles=False)
        check_for_run(graph, CONTRACTS, ())


def test_of_many_pins_a_refusal_names_a_few() -> None:
    pins: dict[str, Any] = {name: {} for name in ("x" * 10_000, *MANY)}
    schemas = {"input_schema": {"properties": pins}, "output_schema": {"properties": pins}}
    graph = draft([agent("g", **schemas)], *[("g.gone", "g.gone")] * graph_limits.GRAPH_ERRORS_MAX)
    refused = refusal(graph)
    names = ", ".join(("x" * value_limits.ID_CHARS_MAX, *MANY[: graph_limits.PINS_NAMED_MAX - 1]))
    assert [error.partition("only: ")[2] for error in refused.errors[:2]] == [
        f"{names} and {len(pins) + 1 - graph_limits.PINS_NAMED_MAX} more",
        f"{names} and {len(pins) - graph_limits.PINS_NAMED_MAX} more",
    ]


def test_an_input_of_an_agent_may_be_called_as_its_own_fields() -> None:
    schema: dict[str, Any] = {"properties": {"graph_id": {}}}
    graph = draft(
        [join("a"), agent("g", graph_id=None, input_schema=schema)], ("a.output", "g.graph_id")
    )
    assert refusal(graph).node_errors == {"g": {"graph_id": REQUIRED}}


def test_a_policy_that_cannot_be_kept_is_refused() -> None:
    bad = {"policy": {"retries": {"attempts": 0}}}
    nodes = [Node("a", "join", metadata=bad), Node("b", "note", metadata={"policy": 5})]
    refused = refusal(draft([*nodes, Node("c", "gone", metadata={"policy": []})]))
    assert refused.node_errors == {
        "a": {"metadata.policy": "retries.attempts must be a whole number from 1 to 100"},
        "b": {"metadata.policy": "must be an object"},
        "c": {
            "block_id": "Block gone does not exist",
            "metadata.policy": "must be an object",
        },
    }
    sound = Node("a", "join", metadata={"policy": {"retries": {"attempts": 3}}})
    check_structure(draft([sound]), CONTRACTS, allow_cycles=False)


def test_a_run_needs_credentials_and_nobody_keeps_any() -> None:
    given = {"credentials": {}, "other": {"id": "c-1", "provider": "p"}}
    graph = draft([Node("s", "secret", given)])
    check_structure(graph, CONTRACTS, allow_cycles=False)
    assert run_refusal(graph).node_errors == {
        "s": {
            "credentials": "These credentials are required",
            "other": "Unknown credentials #c-1",
        }
    }
    odd = draft([Node("s", "secret", {"credentials": "c-1", "other": {"id": 5}})])
    message = "Invalid credentials: must be an object with an id"
    assert run_refusal(odd).node_errors == {"s": {"credentials": message, "other": message}}


def test_nodes_whose_optional_credentials_are_unset_are_skipped() -> None:
    optional = {"credentials_optional": True}
    graph = draft(
        [
            Node("bare", "secret", {}, optional),
            Node("half", "secret", {"other": {"id": "c-1"}}, optional),
            Node("strict", "secret", {}, {"credentials_optional": "true"}),
            Node("plain", "join", {"text": "t", "values": {}}, optional),
        ],
        ("bare.output", "half.text"),
        ("strict.output", "plain.text"),
    )
    assert skipped_nodes(graph, CONTRACTS) == ("bare", "half")
    missing = "These credentials are required"
    assert run_refusal(graph).node_errors == {
        "half": {"other": "Unknown credentials #c-1"},
        "strict": {"credentials": missing, "other": missing},
    }


def test_an_agent_that_nothing_is_linked_to_is_isolated_too() -> None:
    graph = draft([agent("g"), join("a", text="t", values={})])
    assert list(run_refusal(graph).node_errors) == ["g", "a"]
