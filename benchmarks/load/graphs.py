"""The graphs that are run."""

from __future__ import annotations

from typing import Any

from benchmarks.load.noop import NoOperation
from blocks.contract import Block
from blocks.logic import Calculator

Graph = dict[str, Any]


def pure_chain(length: int) -> Graph:
    """Nodes that each add one to what the one before made."""
    nodes = [_node(place, Calculator, operation="Add", a=0, b=1) for place in range(length)]
    return _graph(nodes, [_link(place, "result", place + 1, "a") for place in range(length - 1)])


def effect_chain(length: int) -> Graph:
    """Nodes that each hand on, as an effect, what the one before made."""
    nodes = [_node(place, NoOperation, value=0) for place in range(length)]
    return _graph(nodes, [_link(place, "value", place + 1, "value") for place in range(length - 1)])


def effect_fan(width: int) -> Graph:
    """One node, `width` nodes that each take its value, and one that takes what all of them made.

    The last one runs once: each link ends in an element of its list.
    """
    sink = width + 1
    nodes = [_node(place, NoOperation, value=0) for place in range(sink + 1)]
    out = [_link(0, "value", place, "value") for place in range(1, sink)]
    back = [_link(place, "value", sink, f"value_$_{place - 1}") for place in range(1, sink)]
    return _graph(nodes, [*out, *back])


def _graph(nodes: list[Graph], links: list[Graph]) -> Graph:
    return {"name": "benchmark", "description": "", "nodes": nodes, "links": links}


def _node(place: int, block: type[Block], **defaults: Any) -> Graph:
    return {"id": f"node {place}", "block_id": block.id, "input_default": defaults}


def _link(source: int, source_name: str, sink: int, sink_name: str) -> Graph:
    return {
        "source_id": f"node {source}",
        "source_name": source_name,
        "sink_id": f"node {sink}",
        "sink_name": sink_name,
    }
