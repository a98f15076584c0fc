"""What is wrong with one node of a graph: its pins, its fields, its credentials, its policy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from domain import policies
from domain.contracts import BlockContract, BlockKind
from domain.engine.pins import PinError, base_pin, compile_target, merge_dynamic
from domain.engine.schemas import REQUIRED
from domain.errors import Invalid
from domain.graphs.files import Node
from domain.limits import graph_limits

Problem = tuple[str, str]
"""The field of the node that is wrong, and what is wrong with it."""

CREDENTIALS_REQUIRED = "These credentials are required"
_RESERVED = "credentials"
_AGENT_SCHEMAS = ("input_schema", "output_schema")
_AGENT_OBJECTS = ("inputs", *_AGENT_SCHEMAS)


def input_pins(node: Node, contract: BlockContract) -> Collection[str]:
    """What a link may lead into; an agent's own inputs where the node is one (4.3)."""
    return _pins(node, contract, "input_schema", contract.inputs)


def output_pins(node: Node, contract: BlockContract) -> Collection[str]:
    """What a link may come from, beside the error pin that every node has."""
    return _pins(node, contract, "output_schema", contract.outputs)


def form_problems(node: Node, contract: BlockContract | None) -> Iterator[Problem]:
    """What must be right in every node that is kept: paths of pins, and the policy."""
    yield from path_problems(node.input_default)
    default = policies.DEFAULT_POLICY if contract is None else contract.policy
    try:
        policies.read_policy(node.metadata, default)
    except Invalid as error:
        yield policies.PLACE, error.message.removeprefix(policies.PLACE).lstrip(". ")


def field_problems(
    node: Node, contract: BlockContract, linked: Collection[str], inputs: Collection[str]
) -> Iterator[Problem]:
    """Missing and impossible fields; `linked` pins and the run's `inputs` count as given."""
    given = node.input_default
    present = {base_pin(pin) for pin, value in given.items() if value is not None}
    if contract.kind is BlockKind.AGENT:
        yield from ((pin, REQUIRED) for pin in contract.required if pin not in present)
        yield from _agent_problems(given)
        return
    name = given.get("name")
    present.update(linked)
    if contract.kind is BlockKind.INPUT and isinstance(name, str) and name in inputs:
        present.add("value")
    yield from ((pin, REQUIRED) for pin in contract.required if pin not in present)
    if contract.kind in {BlockKind.INPUT, BlockKind.OUTPUT} and name is not None:
        yield from _name_problems(name, contract.kind)


def credential_problems(node: Node, contract: BlockContract) -> Iterator[Problem]:
    """What a run would lack: nobody keeps credentials yet, so any that are named are unknown."""
    for pin in contract.credentials:
        value = node.input_default.get(pin)
        if not value:
            if not _may_lack_credentials(node):
                yield pin, CREDENTIALS_REQUIRED
        elif isinstance(value, dict) and isinstance(value.get("id"), str):
            yield pin, f"Unknown credentials #{value['id']}"
        else:
            yield pin, "Invalid credentials: must be an object with an id"


def is_skipped(node: Node, contract: BlockContract) -> bool:
    """Whether the node completes without running: optional credentials are unset (4.2, R8)."""
    unset = any(not node.input_default.get(pin) for pin in contract.credentials)
    return unset and _may_lack_credentials(node)


def path_problems(values: dict[str, Any]) -> Iterator[Problem]:
    """Why no input can be built of these values by pin."""
    problems = [(pin, message) for pin in values if (message := path_problem(pin))]
    if not problems:
        try:
            merge_dynamic(values)
        except PinError as error:
            problems.append((error.pin, str(error)))
    yield from problems


def path_problem(pin: str) -> str | None:
    """Why nothing can be assigned to a pin of this name."""
    try:
        compile_target(pin)
    except PinError as error:
        return str(error)
    return None


def _pins(
    node: Node, contract: BlockContract, schema: str, own: Collection[str]
) -> Collection[str]:
    if contract.kind is not BlockKind.AGENT:
        return own
    return _properties(node.input_default, schema)


def _properties(given: Mapping[str, Any], schema: str) -> Collection[str]:
    declared = given.get(schema)
    properties = declared.get("properties") if isinstance(declared, dict) else None
    return properties if isinstance(properties, dict) else ()


def _name_problems(name: Any, kind: BlockKind) -> Iterator[Problem]:
    if not isinstance(name, str):
        yield "name", "must be text"
    elif kind is BlockKind.INPUT and (name == _RESERVED or name.endswith(f"_{_RESERVED}")):
        yield "name", f"{name!r} is a reserved input name"


def _agent_problems(given: Mapping[str, Any]) -> Iterator[Problem]:
    graph_id, version = given.get("graph_id"), given.get("graph_version")
    if graph_id is not None and not (isinstance(graph_id, str) and graph_id):
        yield "graph_id", "must be the id of a graph"
    if version is not None and not (
        type(version) is int and 1 <= version <= graph_limits.GRAPH_VERSION_MAX
    ):
        yield "graph_version", f"must be a whole number from 1 to {graph_limits.GRAPH_VERSION_MAX}"
    for field in _AGENT_OBJECTS:
        if not isinstance(given.get(field), dict | None):
            yield field, "must be an object"
    for field in _AGENT_SCHEMAS:
        # There is a property for each INPUT or OUTPUT node.
        if len(_properties(given, field)) > graph_limits.GRAPH_NODES_MAX:
            yield field, f"must have at most {graph_limits.GRAPH_NODES_MAX} properties"
    if isinstance(inputs := given.get("inputs"), dict):
        yield from (("inputs", message) for _, message in path_problems(inputs))
    if given.get("nodes_input_masks"):
        yield "nodes_input_masks", "must be empty: set the pins in the agent itself"


def _may_lack_credentials(node: Node) -> bool:
    return node.metadata.get("credentials_optional") is True
