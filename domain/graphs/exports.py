"""Graphs as they leave for others: whole, but for what is secret in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.contracts import BlockContract
from domain.engine.pins import base_pin
from domain.graphs.files import GraphDraft, Node
from domain.json_values import places
from domain.limits import memory_limits
from domain.redaction import HIDDEN, is_secret_name, redacted

CALLINGS = ("name", "key", "header")
CALLED = "value"
"""How a member ends that says what another one is, and that one."""
PAIR = 2
PROPERTIES = "properties"
DESCRIBING = ("type", "title", "description", "format", "advanced", "secret")
"""What a JSON Schema says of a value without telling one."""


def without_secrets(graph: GraphDraft, contracts: Mapping[str, BlockContract]) -> GraphDraft:
    """What is secret, or called like a secret such as the header `Authorization`, keeps its place
    and loses its value. What looks like a secret within a text is hidden there.
    """
    nodes = tuple(
        msgspec.structs.replace(
            node,
            input_default=_open_pins(node, contracts[node.block_id]),
            metadata=_open_members(node.metadata),
        )
        for node in graph.nodes
    )
    return msgspec.structs.replace(
        graph,
        nodes=nodes,
        description=redacted(graph.description),
        instructions=None if graph.instructions is None else redacted(graph.instructions),
    )


def _open_pins(node: Node, contract: BlockContract) -> dict[str, Any]:
    secret = {pin for pin, schema in contract.inputs.items() if schema.get("secret")}
    if node.input_default.get("secret"):
        secret.add("value")
    return _open_members(
        {pin: value for pin, value in node.input_default.items() if base_pin(pin) not in secret}
    )


def _open(value: Any) -> Any:
    if isinstance(value, str):
        return _open_text(value)
    if isinstance(value, dict):
        return _open_members(value)
    if isinstance(value, list):
        return [_open_item(item) for item in value]
    return value


def _open_members(members: dict[str, Any]) -> dict[str, Any]:
    told = _told_secret(members)
    described = PROPERTIES if members.get("type") == "object" else None
    return {
        name: _open_properties(value) if name == described else _open(value)
        for name, value in members.items()
        if name not in told and not _is_secret(name, value)
    }


def _open_properties(properties: Any) -> Any:
    """The properties of a JSON Schema, such as that of an agent within this one: links lead to
    them by their names, so that one that is called a secret is still described.
    """
    if not isinstance(properties, dict):
        return _open(properties)
    described = {
        name: _open({keyword: schema[keyword] for keyword in DESCRIBING if keyword in schema})
        for name, schema in properties.items()
        if isinstance(schema, dict) and is_secret_name(name)
    }
    shown = _open_members(properties) | described
    return {name: shown[name] for name in properties if name in shown}


def _open_item(item: Any) -> Any:
    """An item of a list; it may be a pair, as a header in a list of headers."""
    if isinstance(item, list) and len(item) == PAIR and all(isinstance(part, str) for part in item):
        name, value = item
        return [name, HIDDEN] if is_secret_name(name) else [name, _open_text(value)]
    return _open(item)


def _open_text(text: str) -> str:
    """A text, which may be JSON with secrets in it."""
    if text.lstrip()[:1] in {"{", "["}:
        encoded = text.encode()
        try:
            if places(encoded) <= memory_limits.BODY_VALUES_MAX:
                value = msgspec.json.decode(encoded)
                shown = _open(value)
                return text if shown == value else msgspec.json.encode(shown).decode()
        except (msgspec.DecodeError, RecursionError):
            pass
    return redacted(text)


def _told_secret(members: dict[str, Any]) -> set[str]:
    """The values that another member says to be secret: `{"name": "Cookie", "value": …}`."""
    told = {
        name.lower().removesuffix(calling) + CALLED
        for name, text in members.items()
        for calling in CALLINGS
        if name.lower().endswith(calling) and isinstance(text, str) and is_secret_name(text)
    }
    return {name for name in members if name.lower() in told} if told else told


def _is_secret(name: str, value: Any) -> bool:
    """No number is secret: `max_tokens` is one, and is called like it."""
    return isinstance(value, str | list | dict) and is_secret_name(name)
