"""A few block contracts, and graphs of them written short."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from domain.contracts import BlockContract, BlockKind
from domain.graphs.files import GraphDraft, Link, Node

TEXT: dict[str, Any] = {"type": "string"}
OPTIONAL_NUMBER: dict[str, Any] = {
    "anyOf": [{"type": "number"}, {"type": "null"}],
    "description": "What the pin is for",
    "default": None,
    "placeholder": "12",
}


def interface(block_id: str, kind: BlockKind, value: dict[str, Any]) -> BlockContract:
    return BlockContract(
        block_id=block_id,
        name=f"{kind}Block",
        inputs={"name": TEXT, "value": value, "title": TEXT},
        outputs={"result": {}},
        required=("name",),
        kind=kind,
        static_output=True,
    )


CONTRACTS = {
    contract.block_id: contract
    for contract in (
        BlockContract(
            block_id="join",
            name="JoinBlock",
            inputs={"text": TEXT, "values": {"type": "object"}, "list": {"type": "array"}},
            outputs={"output": TEXT, "tools": {}},
            required=("text", "values"),
        ),
        BlockContract(
            block_id="note",
            name="Note",
            inputs={"text": TEXT},
            outputs={},
            required=("text",),
            kind=BlockKind.NOTE,
        ),
        interface("input", BlockKind.INPUT, OPTIONAL_NUMBER),
        interface("output", BlockKind.OUTPUT, {}),
    )
}


def draft(nodes: Iterable[Node], *links: tuple[str, str]) -> GraphDraft:
    """Links are written `node.pin`, both ends."""
    return GraphDraft(
        name="Example",
        nodes=tuple(nodes),
        links=tuple(link(str(number), *ends) for number, ends in enumerate(links)),
    )


def link(link_id: str, source: str, sink: str) -> Link:
    source_id, source_name = source.split(".")
    sink_id, sink_name = sink.split(".")
    return Link(link_id, source_id, sink_id, source_name, sink_name)


def join(node_id: str, **given: Any) -> Node:
    return Node(node_id, "join", given)
