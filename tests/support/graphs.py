"""Graphs of the real catalogue as clients send them, written short."""

from __future__ import annotations

from typing import Any

from blocks.agents import AgentExecutor
from blocks.contract import Block
from blocks.io import AgentInput, AgentOutput
from blocks.logic import StepThroughItems

Document = dict[str, Any]


def graph(*nodes: Document, links: str = "", **members: Any) -> Document:
    """A graph of nodes, and of links written `node.pin > node.pin`, one a line."""
    lines = [line.strip() for line in links.splitlines() if line.strip()]
    return {
        "name": "Example",
        "description": "",
        "nodes": list(nodes),
        "links": [_link(line) for line in lines],
        **members,
    }


def node(name: str, block: type[Block], /, **given: Any) -> Document:
    """A node whose id is `name` until the graph is saved, with its pins' defaults."""
    return {"id": name, "block_id": block.id, "input_default": given}


def agent_input(name: str, /, **given: Any) -> Document:
    """An INPUT node called as the input that it takes."""
    return node(name, AgentInput, name=name, **given)


def agent_output(name: str, /, **given: Any) -> Document:
    """An OUTPUT node called as the output that it hands back."""
    return node(name, AgentOutput, name=name, **given)


def items(name: str, /, *values: Any) -> Document:
    """A node that yields these values on `item`, one after the other."""
    return node(name, StepThroughItems, items=list(values))


def agent(name: str, model: Document, /, **inputs: Any) -> Document:
    """A node that is a run of the graph that the API answered as `model`."""
    return node(
        name,
        AgentExecutor,
        graph_id=model["id"],
        graph_version=model["version"],
        input_schema=model["input_schema"],
        output_schema=model["output_schema"],
        inputs=inputs,
    )


def with_metadata(document: Document, **metadata: Any) -> Document:
    """The node, with this beside what its metadata says."""
    return {**document, "metadata": {**document.get("metadata", {}), **metadata}}


def with_policy(document: Document, **policy: Any) -> Document:
    """The node, with what its policy says beside its block's."""
    return with_metadata(document, policy=policy)


def echo() -> Document:
    """Hands its one input `x` back as `y`."""
    return graph(agent_input("x"), agent_output("y"), links="x.result > y.value")


def _link(line: str) -> Document:
    source, sink = line.split(" > ")
    source_id, source_name = source.split(".", 1)
    sink_id, sink_name = sink.split(".", 1)
    return {
        "source_id": source_id,
        "source_name": source_name,
        "sink_id": sink_id,
        "sink_name": sink_name,
    }
