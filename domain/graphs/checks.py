"""Whether a graph makes sense: its ends, blocks, pins and cycles, and what a run would miss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import chain, islice
from typing import Any

import msgspec

from domain.contracts import ERROR_PIN, BlockContract, BlockKind
from domain.engine.json_schema import normalise
from domain.engine.pins import base_pin
from domain.errors import GraphInvalid
from domain.graphs.files import GraphDraft, Link, Node
from domain.graphs.node_checks import (
    credential_problems,
    field_problems,
    form_problems,
    input_pins,
    is_skipped,
    output_pins,
    path_problem,
)
from domain.limits import graph_limits, value_limits

Contracts = Mapping[str, BlockContract]
"""Contracts by block id."""

_INTERFACE = frozenset({BlockKind.INPUT, BlockKind.OUTPUT, BlockKind.AGENT})
"""Their fields join the graph to runs and to other graphs, so they are whole when it is kept."""
_EXECUTED = frozenset(BlockKind) - {BlockKind.NOTE}
_MAY_STAND_ALONE = frozenset({BlockKind.INPUT, BlockKind.OUTPUT, BlockKind.NOTE})
_OF_THE_PIN = frozenset({"default", "description"})
"""What a block says about its pin `value` rather than about the type."""


def check_structure(draft: GraphDraft, contracts: Contracts, *, allow_cycles: bool) -> None:
    """Check what must hold of every graph that is kept.

    Blocks are known, links join pins of nodes, pin names lead somewhere, policies can be kept;
    without `allow_cycles` there is no cycle; INPUT, OUTPUT and AGENT nodes have what they require,
    and no INPUT name is reserved. Whether the graph of an AGENT node exists is not looked at.
    Raises GraphInvalid with the first problem as its message; `errors` and `node_errors` hold up
    to GRAPH_ERRORS_MAX.
    """
    problems = _Problems()
    _check_nodes(draft, contracts, problems)
    _check_links(draft, contracts, problems)
    if not allow_cycles:
        _check_cycles(draft, problems)
    _check_fields(draft, contracts, problems, kinds=_INTERFACE)
    if problems.errors:
        raise GraphInvalid(problems.errors[0], problems.node_errors, problems.errors)


def check_for_run(draft: GraphDraft, contracts: Contracts, inputs: Collection[str]) -> None:
    """Check what a run needs of a graph with a sound structure.

    `inputs` names the values that the run is given. Every node has its required pins set or
    linked and its credentials, unless `skipped_nodes` names it; and none is isolated: without any
    link though another node is executed; INPUT and OUTPUT nodes may be. Raises GraphInvalid with
    `{node id: {field: message}}` in `node_errors`.
    """
    problems = _Problems()
    _check_fields(draft, contracts, problems, kinds=_EXECUTED, inputs=inputs)
    for node in draft.nodes:
        for field, message in credential_problems(node, contracts[node.block_id]):
            problems.add_to(node, field, message)
    _check_isolated(draft, contracts, problems)
    if problems.errors:
        raise GraphInvalid(
            f"Graph validation failed: {problems.count} issues on {len(problems.nodes)} nodes",
            problems.node_errors,
            problems.errors,
        )


def skipped_nodes(draft: GraphDraft, contracts: Contracts) -> tuple[str, ...]:
    """The nodes that a run completes without running them: optional credentials are unset."""
    return tuple(node.id for node in draft.nodes if is_skipped(node, contracts[node.block_id]))


def static_links(draft: GraphDraft, contracts: Contracts) -> GraphDraft:
    """`draft` with every link out of a block with static output marked as static."""
    static = {
        node.id
        for node in draft.nodes
        if (contract := contracts.get(node.block_id)) and contract.static_output
    }
    return msgspec.structs.replace(
        draft,
        links=tuple(
            msgspec.structs.replace(link, is_static=True) if link.source_id in static else link
            for link in draft.links
        ),
    )


def input_schema(draft: GraphDraft, contracts: Contracts) -> dict[str, Any]:
    """The JSON Schema of a run's inputs, a property for each INPUT node's name."""
    return _interface_schema(draft, contracts, BlockKind.INPUT)


def output_schema(draft: GraphDraft, contracts: Contracts) -> dict[str, Any]:
    """The JSON Schema of a run's outputs, a property for each OUTPUT node's name."""
    return _interface_schema(draft, contracts, BlockKind.OUTPUT)


class _Problems:
    """What was found: all of it counted, the first GRAPH_ERRORS_MAX kept."""

    def __init__(self) -> None:
        self.count = 0
        self.nodes: set[str] = set()
        self.errors: list[str] = []
        self.node_errors: dict[str, dict[str, str]] = {}

    def add(self, error: str, node: Node | None = None, field: str = "", message: str = "") -> None:
        """Add `error`; when it belongs to a node, `message` says it at the node's field."""
        self.count += 1
        if node is not None:
            self.nodes.add(node.id)
        if len(self.errors) >= graph_limits.GRAPH_ERRORS_MAX:
            return
        self.errors.append(error)
        if node is not None:
            self.node_errors.setdefault(node.id, {}).setdefault(field, message)

    def add_to(self, node: Node, field: str, message: str) -> None:
        self.add(f"Node {node.id}: {field}: {message}", node, field, message)


def _check_nodes(draft: GraphDraft, contracts: Contracts, problems: _Problems) -> None:
    for node in draft.nodes:
        if node.block_id not in contracts:
            missing = f"Block {node.block_id} does not exist"
            problems.add(f"Node {node.id}: {missing}", node, "block_id", missing)
        for field, message in form_problems(node, contracts.get(node.block_id)):
            problems.add_to(node, field, message)


def _check_links(draft: GraphDraft, contracts: Contracts, problems: _Problems) -> None:
    nodes = {node.id: node for node in draft.nodes}
    for link in draft.links:
        source = f"{link.source_id}.{link.source_name}"
        sink = f"{link.sink_id}.{link.sink_name}"
        for node, field, message in _link_problems(link, nodes, contracts):
            problems.add(f"Link from {source} to {sink}: {message}", node, field, message)


def _link_problems(
    link: Link, nodes: Mapping[str, Node], contracts: Contracts
) -> Iterator[tuple[Node | None, str, str]]:
    source, sink = nodes.get(link.source_id), nodes.get(link.sink_id)
    if source is None:
        yield sink, link.sink_name, f"there is no node {link.source_id}"
    elif message := _source_problem(link.source_name, source, contracts.get(source.block_id)):
        yield source, link.source_name, message
    if sink is None:
        yield source, link.source_name, f"there is no node {link.sink_id}"
    elif message := _sink_problem(link.sink_name, sink, contracts.get(sink.block_id)):
        yield sink, link.sink_name, message


def _source_problem(name: str, source: Node, contract: BlockContract | None) -> str | None:
    if contract is None:
        return None
    pin, known = base_pin(name), output_pins(source, contract)
    if pin in known or pin == ERROR_PIN:
        return None
    every = _listed(known, *(() if ERROR_PIN in known else (ERROR_PIN,)))
    return f"{contract.name} has no output {pin!r}, only: {every}"


def _sink_problem(name: str, sink: Node, contract: BlockContract | None) -> str | None:
    if contract is None:
        return None
    pin, known = base_pin(name), input_pins(sink, contract)
    if pin not in known:
        return f"{contract.name} has no input {pin!r}, only: {_listed(known)}"
    return path_problem(name)


def _listed(pins: Collection[str], *more: str) -> str:
    """The first PINS_NAMED_MAX names, cut where they are long, and how many others there are.

    Thousands of links may be wrong about the same thousands of pins.
    """
    first = islice(chain(pins, more), graph_limits.PINS_NAMED_MAX)
    names = ", ".join(pin[: value_limits.ID_CHARS_MAX] for pin in first)
    others = len(pins) + len(more) - graph_limits.PINS_NAMED_MAX
    return names if others <= 0 else f"{names} and {others} more"


def _check_cycles(draft: GraphDraft, problems: _Problems) -> None:
    following: dict[str, list[str]] = {node.id: [] for node in draft.nodes}
    for link in draft.links:
        if link.source_id in following and link.sink_id in following:
            following[link.source_id].append(link.sink_id)
    cycle = _find_cycle(following)
    if len(cycle) > graph_limits.GRAPH_CYCLE_NODES_SHOWN_MAX:
        cycle = [*cycle[: graph_limits.GRAPH_CYCLE_NODES_SHOWN_MAX], "…", cycle[-1]]
    if cycle:
        problems.add(f"图中存在循环依赖: {' -> '.join(cycle)}")


def _find_cycle(following: Mapping[str, list[str]]) -> list[str]:
    """The nodes of one cycle, the first one again at the end; empty when there is none."""
    finished: set[str] = set()
    for start in following:
        trail = {} if start in finished else {start: iter(following[start])}
        while trail:
            node = next(reversed(trail))
            ahead = next(trail[node], None)
            if ahead is None:
                finished.add(node)
                del trail[node]
            elif ahead in trail:
                names = list(trail)
                return [*names[names.index(ahead) :], ahead]
            elif ahead not in finished:
                trail[ahead] = iter(following[ahead])
    return []


def _check_fields(
    draft: GraphDraft,
    contracts: Contracts,
    problems: _Problems,
    *,
    kinds: Collection[BlockKind],
    inputs: Collection[str] = (),
) -> None:
    """Check the fields of the nodes whose block is one of `kinds`."""
    linked: defaultdict[str, set[str]] = defaultdict(set)
    for link in draft.links:
        linked[link.sink_id].add(base_pin(link.sink_name))
    for node in draft.nodes:
        contract = contracts.get(node.block_id)
        if contract is None or contract.kind not in kinds:
            continue
        for field, message in field_problems(node, contract, linked[node.id], inputs):
            problems.add_to(node, field, message)


def _check_isolated(draft: GraphDraft, contracts: Contracts, problems: _Problems) -> None:
    kinds = {node.id: contracts[node.block_id].kind for node in draft.nodes}
    if sum(kind is not BlockKind.NOTE for kind in kinds.values()) == 1:
        return
    joined = {end for link in draft.links for end in (link.source_id, link.sink_id)}
    for node in draft.nodes:
        if node.id not in joined and kinds[node.id] not in _MAY_STAND_ALONE:
            message = "This node is not linked to any other"
            problems.add(f"存在孤立节点: {node.id}", node, "links", message)


def _interface_schema(draft: GraphDraft, contracts: Contracts, kind: BlockKind) -> dict[str, Any]:
    properties: dict[str, dict[str, Any]] = {}
    for node in draft.nodes:
        contract = contracts.get(node.block_id)
        name = node.input_default.get("name")
        if contract is not None and contract.kind is kind and isinstance(name, str):
            value_schema = normalise(contract.inputs.get("value", {}))
            properties[name] = _property(name, value_schema, node.input_default)
    required = [name for name, schema in properties.items() if "default" not in schema]
    return {"type": "object", "properties": properties, "required": required}


def _property(name: str, value_schema: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    value = given.get("value")
    schema = {key: value_schema[key] for key in value_schema if key not in _OF_THE_PIN}
    schema["title"] = given.get("title") or name
    if given.get("description"):
        schema["description"] = given["description"]
    if value is not None:
        schema["default"] = value
    schema["secret"] = bool(given.get("secret"))
    # A form hides an advanced field, which only works for one that needs no answer.
    schema["advanced"] = bool(given.get("advanced")) and value is not None
    return schema
