"""The graphs that are run."""

from __future__ import annotations

from typing import Any

from blocks.contract import Block
from blocks.io import AgentOutput
from blocks.logic import Calculator, StepThroughItems
from blocks.web import SendWebRequest

Graph = dict[str, Any]


def pure_chain(length: int) -> Graph:
    """Nodes that each add one to what the one before made."""
    nodes = [_node(place, Calculator, operation="Add", a=0, b=1) for place in range(length)]
    return _graph(nodes, [_link(place, "result", place + 1, "a") for place in range(length - 1)])


def effect_chain(length: int, url: str) -> Graph:
    """Requests to a service outside, each with the answer of the one before."""
    nodes = [_node(place, SendWebRequest, url=url, body={"number": 0}) for place in range(length)]
    links = [
        _link(place, "response_#_number", place + 1, "body_#_number") for place in range(length - 1)
    ]
    return _graph(nodes, links)


def fan_out(width: int) -> Graph:
    """One node that yields `width` values, one that takes each, one that collects each result."""
    nodes = [
        _node(0, StepThroughItems, items=list(range(width))),
        _node(1, Calculator, operation="Add", b=1),
        _node(2, AgentOutput, name="collected"),
    ]
    return _graph(nodes, [_link(0, "item", 1, "a"), _link(1, "result", 2, "value")])


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
