from __future__ import annotations

from typing import Any

import pytest

from domain.contracts import BlockContract, BlockKind, Effect
from domain.engine.plan import Plan, PlanNode
from domain.engine.schemas import REQUIRED
from domain.graphs.files import GraphDraft, Node
from domain.policies import InDoubt, NodePolicy, Retries
from tests.domain.engine import given
from tests.domain.engine.given import plan

VERSION = ("graph_id", "graph_version")
PATIENT = NodePolicy(retries=Retries(attempts=3, jitter=0), in_doubt=InDoubt.ASK)
CONTRACTS = {
    **given.CONTRACTS,
    **{
        contract.block_id: contract
        for contract in (
            BlockContract("hook", "HookBlock", {"payload": {}}, {}, kind=BlockKind.WEBHOOK),
            BlockContract("press", "PressBlock", {}, {}, kind=BlockKind.WEBHOOK_MANUAL),
            BlockContract(
                "agent", "AgentBlock", {}, {}, VERSION, kind=BlockKind.AGENT, effect=Effect.CHILD
            ),
            BlockContract("review", "ReviewBlock", {}, {}, effect=Effect.REVIEW),
            BlockContract(
                "patient", "P", {}, {}, effect=Effect.EFFECTFUL, policy=PATIENT, sensitive=True
            ),
        )
    },
}


def test_sinks_do_not_start_inputs_do_and_notes_never() -> None:
    nodes = [
        Node("note", "note"),
        Node("input", "input", {"name": "input"}),
        Node("output", "output", {"name": "output"}),
        Node("linked", "input", {"name": "linked"}),
    ]
    compiled = plan("x.out > s.a", "x.out > linked.value", nodes=nodes)
    assert [node.node_id for node in compiled.starting] == ["input", "output", "linked", "x"]


def test_pins_are_those_of_links_each_once() -> None:
    sink = _node(
        "s", "x.out > s.b", "v.out => s.a", "w.out => s.a", "y.out > s.b", "z.out > s.c_#_k"
    )
    assert sink.linked_pins == ("b", "a", "c_#_k")
    assert sink.static_pins == ("a",)
    assert sink.lacks_link({"b": 1, "a": None})
    assert not sink.lacks_link({"b": 1, "a": None, "c_#_k": 0})


def test_an_output_finds_its_links_in_the_order_of_the_graph() -> None:
    source = _node("x", "x.more > s.a", "x.out > s.a", "x.out_#_k > s.b", "x.out > t.a")
    found = [(link.sink.node_id, link.sink_name) for link in source.links_for("out")]
    assert found == [("s", "a"), ("s", "b"), ("t", "a")]
    assert source.links_for("error") == ()


def test_a_tool_pin_is_delivered_to_the_sink_that_it_names() -> None:
    source = _node("x", "x.tools > s.a", "x.tools_^_t_~_a > t.a")
    found = [link.sink.node_id for link in source.links_for("tools_^_s_~_a")]
    assert found == ["s"]
    assert [link.sink.node_id for link in source.links_for("tools_^_t_~_a")] == ["t"]


def test_the_price_of_a_plan_is_one_execution_of_each_node() -> None:
    nodes = [Node("p", "strict"), Node("q", "strict")]
    assert plan("p.out > q.a", "x.out > p.a", nodes=nodes).cost == 6


@pytest.mark.parametrize(
    ("name", "inputs", "given"),
    [
        ("city", {"city": "Lyon"}, {"value": "Lyon"}),
        ("city", {"city": None}, {"value": None}),
        ("city", {"town": "Lyon"}, {}),
        (5, {"5": "Lyon"}, {}),
        (None, {"None": "Lyon"}, {}),
    ],
)
def test_an_input_is_given_the_value_of_its_name(
    name: Any, inputs: dict[str, Any], given: dict[str, Any]
) -> None:
    compiled = plan(nodes=[Node("i", "input", {"name": name})])
    assert compiled.starting_inputs(compiled.nodes[0], inputs) == given


def test_only_inputs_are_given_anything() -> None:
    compiled = plan(nodes=[Node("s", "step", {"name": "city"}), Node("o", "output", {"name": "o"})])
    assert [compiled.starting_inputs(node, {"city": 1, "o": 1}) for node in compiled.nodes] == [
        {},
        {},
    ]


def test_starting_nodes_say_why_they_cannot_start() -> None:
    nodes = [
        Node("linked", "input", {"name": "linked", "value": "default"}),
        Node("typed", "strict", {"a": 0}),
        Node("bare", "strict"),
        Node("sink", "strict"),
    ]
    compiled = plan("x.out > linked.value", "x.out > sink.b", nodes=nodes)
    assert compiled.starting_errors({}) == {
        "linked": {"value": REQUIRED},
        "typed": {"a": "must be at least 1"},
        "bare": {"a": REQUIRED},
    }
    assert list(compiled.starting_errors({"linked": 1})) == ["typed", "bare"]


def test_a_trigger_is_not_started_by_hand() -> None:
    nodes = planned(Node("hook", "hook", {"payload": {"left": "from editing"}}), Node("p", "press"))
    message = "This node starts with an event from outside and cannot be started by hand"
    assert nodes.starting_errors({"payload": {}}) == {
        "hook": {"payload": message},
        "p": {"payload": message},
    }


def test_an_agent_gets_its_inputs_as_they_are() -> None:
    inputs = {"x": "5", "tags": ["a"], "graph_id": None}
    version = {"graph_id": "g", "graph_version": 3}
    schema = {"properties": {"x": {"type": "integer"}}, "required": ["y"]}
    compiled = planned(
        Node("full", "agent", {**version, "inputs": inputs, "input_schema": schema}),
        Node("bare", "agent", {**version, "inputs": None}),
    )
    full, bare = compiled.nodes
    assert full.is_agent
    assert full.sub_graph == ("g", 3)
    expected = {"x": "5", "tags": ["a", "b"], "graph_id": None, "y": None, "tags_$_1": "b"}
    assert full.prepare({"y": None, "tags_$_1": "b"}) == (expected, [])
    assert bare.prepare({}) == ({}, [])
    assert compiled.starting_errors({}) == {}


def test_a_node_may_have_a_policy_of_its_own() -> None:
    policy = {"retries": {"attempts": 4}, "timeout_seconds": 9}
    own, blocks = planned(
        Node("own", "patient", metadata={"policy": policy}), Node("blocks", "patient")
    ).nodes
    assert blocks.policy == PATIENT
    retries = Retries(attempts=4, jitter=0)
    assert own.policy == NodePolicy(retries=retries, timeout_seconds=9, in_doubt=InDoubt.ASK)


@pytest.mark.parametrize(
    ("block_id", "effectful", "effect"),
    [
        ("step", False, Effect.PURE),
        ("step", True, Effect.EFFECTFUL),
        ("patient", False, Effect.EFFECTFUL),
        ("review", True, Effect.REVIEW),
        ("agent", True, Effect.CHILD),
    ],
)
def test_a_pure_node_may_be_made_durable_step_by_step(
    block_id: str, effectful: bool, effect: Effect
) -> None:
    node = Node("n", block_id, metadata={"policy": {"effectful": effectful}})
    assert planned(node).nodes[0].effect is effect


def test_a_node_says_what_it_is() -> None:
    names = ("step", "input", "output", "review", "patient", "agent")
    nodes = planned(*(Node(name, name) for name in names)).nodes
    assert [node.node_id for node in nodes if node.is_input] == ["input"]
    assert [node.node_id for node in nodes if node.is_output] == ["output"]
    assert [node.node_id for node in nodes if node.is_review] == ["review"]
    assert [node.node_id for node in nodes if node.is_sensitive] == ["patient"]
    assert [node.node_id for node in nodes if node.is_agent] == ["agent"]


def planned(*nodes: Node) -> Plan:
    return Plan(GraphDraft(name="Example", nodes=nodes), CONTRACTS)


def _node(node_id: str, *links: str) -> PlanNode:
    return next(node for node in plan(*links).nodes if node.node_id == node_id)
