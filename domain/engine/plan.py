"""A graph version, compiled once for all its runs: who starts, who feeds whom, over which pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from domain.budgets import Allotment
from domain.contracts import ERROR_PIN, BlockContract, BlockKind, Effect
from domain.engine.inputs import NodeInputs, Prepared, Room
from domain.engine.pins import Selector, base_pin, compile_selector
from domain.engine.schemas import (
    REQUIRED,
    Check,
    InputRules,
    Known,
    compile_inputs,
    compile_outputs,
)
from domain.errors import Invalid
from domain.graphs.files import GraphDraft, Link, Node
from domain.limits import memory_limits
from domain.policies import NodePolicy, read_policy

PAYLOAD_PIN = "payload"
"""Where a node that starts with an event gets it."""
NOT_BY_HAND = "This node starts with an event from outside and cannot be started by hand"

_TRIGGERS = frozenset({BlockKind.WEBHOOK, BlockKind.WEBHOOK_MANUAL})


class PlanLink:
    """A link with its source compiled and its sink found."""

    __slots__ = ("is_static", "selector", "sink", "sink_name")

    def __init__(self, link: Link, sink: PlanNode) -> None:
        self.selector: Selector = compile_selector(
            link.source_name, sink_id=link.sink_id, sink_name=link.sink_name
        )
        self.sink = sink
        self.sink_name = link.sink_name
        self.is_static = link.is_static


class PlanNode:
    """A node with what the engine asks of it at every delivery."""

    __slots__ = (
        "__weakref__",
        "_by_output",
        "_inputs",
        "_linked",
        "_room",
        "_unlinked",
        "contract",
        "defaults",
        "effect",
        "index",
        "is_agent",
        "is_input",
        "is_output",
        "is_review",
        "is_sensitive",
        "linked_pins",
        "node_id",
        "output_checks",
        "output_links",
        "policy",
        "rules",
        "static_pins",
    )

    def __init__(self, index: int, node: Node, contract: BlockContract, room: Room) -> None:
        self.index = index
        self.node_id = node.id
        self.contract = contract
        self.policy = _policy(node, contract)
        self.effect = _effect(contract, self.policy)
        self.is_input = contract.kind is BlockKind.INPUT
        self.is_output = contract.kind is BlockKind.OUTPUT
        self.is_agent = contract.kind is BlockKind.AGENT
        self.is_review = contract.effect is Effect.REVIEW
        self.is_sensitive = contract.sensitive
        self.defaults: Mapping[str, Any] = node.input_default
        self._unlinked = (self.defaults.get("inputs") or {}) if self.is_agent else self.defaults
        self.rules: InputRules = compile_inputs(contract)
        self._room = room
        self._inputs: NodeInputs | None = None
        self.output_checks: Mapping[str, Check] = compile_outputs(contract)
        self.linked_pins: tuple[str, ...] = ()
        self._linked: frozenset[str] = frozenset()
        self.static_pins: tuple[str, ...] = ()
        self.output_links: list[PlanLink] = []
        self._by_output: dict[str, tuple[PlanLink, ...]] = {}

    def link(self, links: Sequence[Link]) -> None:
        """Say by which links the node is reached."""
        self.linked_pins = tuple(dict.fromkeys(link.sink_name for link in links))
        self._linked = frozenset(self.linked_pins)
        self.static_pins = tuple(dict.fromkeys(link.sink_name for link in links if link.is_static))

    @property
    def sub_graph(self) -> tuple[str, int]:
        """Id and version of the graph that a node with `is_agent` runs."""
        return self.defaults["graph_id"], self.defaults["graph_version"]

    def links_for(self, output: str) -> tuple[PlanLink, ...]:
        """The links that may carry an output of this name, in the graph's order."""
        links = self._by_output.get(output)
        if links is None:
            links = tuple(
                link
                for link in self.output_links
                if output in (link.selector.emitted, link.selector.whole, link.selector.addressed)
            )
            self._by_output[output] = links
        return links

    def output_problem(self, name: str, value: Any) -> str | None:
        """What is wrong with an output, to be said after its name (4.8, N2)."""
        checks = self.output_checks
        if not checks or name == ERROR_PIN:
            return None
        check = checks.get(name) or checks.get(base_pin(name))
        return "is not an output of this block" if check is None else check(value)

    def prepare(self, given: Mapping[str, Any], known: Known | None = None) -> Prepared:
        """The whole input of an execution, and what is wrong with it (4.4, D5 b-f).

        Its values are those of others too. `known` is what was made of earlier ones.
        """
        return (self._inputs or self._compile()).prepare(given, known)

    def takes_unseen(self, pin: str) -> bool:
        """Whether a value at this pin does not decide what `prepare` makes of the others."""
        return (self._inputs or self._compile()).takes_unseen(pin)

    def lacks_link(self, given: Mapping[str, Any]) -> bool:
        """Whether a linked pin has no value: it never falls back to a default (4.4, D5 a)."""
        linked = self._linked
        return len(given) < len(linked) or not given.keys() >= linked

    def _compile(self) -> NodeInputs:
        """At the first execution: a plan that is only looked at need not know."""
        expected = (*self.linked_pins, "value") if self.is_input else self.linked_pins
        self._inputs = NodeInputs(self.rules, self._unlinked, expected, self._room)
        return self._inputs


class Plan:
    """All nodes of a graph version, in its order."""

    __slots__ = ("__weakref__", "contracts", "graph", "nodes", "once", "starting", "weight")

    def __init__(self, graph: GraphDraft, contracts: Mapping[str, BlockContract]) -> None:
        self.graph = graph
        self.contracts = contracts
        self.weight = 0
        """About how many bytes it takes, as far as somebody has said."""
        room = Room()
        self.nodes = [
            PlanNode(index, node, contracts[node.block_id], room)
            for index, node in enumerate(graph.nodes)
        ]
        by_id = {node.node_id: node for node in self.nodes}
        sinks: dict[str, list[Link]] = {}
        for link in graph.links:
            sink = by_id[link.sink_id]
            by_id[link.source_id].output_links.append(PlanLink(link, sink))
            sinks.setdefault(link.sink_id, []).append(link)
        for node_id, links in sinks.items():
            node = by_id[node_id]
            node.link(links)
        self.starting = [node for node in self.nodes if _starts(node)]
        self.once = Allotment(
            steps=len(self.nodes),
            runs=sum(node.is_agent for node in self.nodes),
            credits=sum(node.contract.cost for node in self.nodes),
        )
        """What one execution of each node uses up."""

    @property
    def is_heavy(self) -> bool:
        """It has to find room in memory, and is there only while somebody has it."""
        return self.weight > memory_limits.PLAN_LIGHT_BYTES

    @property
    def has_agents(self) -> bool:
        return self.once.runs > 0

    @property
    def cost(self) -> int:
        """Credits of one execution of each node: what is held when a run begins."""
        return self.once.credits

    def starting_inputs(self, node: PlanNode, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What a starting node is given by the run's inputs (4.2, R4)."""
        name = node.defaults.get("name")
        if node.is_input and isinstance(name, str) and name in inputs:
            return {"value": inputs[name]}
        return {}

    def starting_errors(self, inputs: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        """Why starting nodes cannot start: `{node id: {pin: message}}` (4.2, R5 and R6)."""
        errors: dict[str, dict[str, str]] = {}
        for node in self.starting:
            problems = _starting_problems(node, self.starting_inputs(node, inputs))
            if problems:
                errors[node.node_id] = problems
        return errors


def _starting_problems(node: PlanNode, given: Mapping[str, Any]) -> dict[str, str]:
    if node.contract.kind in _TRIGGERS:
        return {PAYLOAD_PIN: NOT_BY_HAND}
    missing = {pin: REQUIRED for pin in node.linked_pins if pin not in given}
    return missing or dict(node.prepare(given)[1])


def _policy(node: Node, contract: BlockContract) -> NodePolicy:
    try:
        return read_policy(node.metadata, contract.policy)
    except Invalid:
        # Saved before there were policies, when the word meant nothing.
        return contract.policy


def _effect(contract: BlockContract, policy: NodePolicy) -> Effect:
    if policy.effectful and contract.effect is Effect.PURE:
        return Effect.EFFECTFUL
    return contract.effect


def _starts(node: PlanNode) -> bool:
    """Sinks of no link, and every INPUT node even when linked (4.2, R3)."""
    if node.contract.kind is BlockKind.NOTE:
        return False
    return node.is_input or not node.linked_pins
