"""Chains of nodes that each add one, with and without effects, and some that only wait."""

from __future__ import annotations

from collections.abc import Sequence

from blocks.logic import Calculator
from blocks.waiting import Wait
from blocks.web import SendWebRequest
from tests.support.graphs import Document, agent_input, agent_output, graph, node

PURE = "pure"
EFFECT = "effect"
Step = str | float
"""PURE, EFFECT, or how many seconds to wait."""


def chain(steps: Sequence[Step], effects_url: str) -> Document:
    """A graph from the input `in` through `steps` to the output `out`."""
    nodes, links = [agent_input("in")], []
    source = "in.result"
    for place, step in enumerate(steps):
        name = f"step {place}"
        one, sink_pin, source_pin = _step(name, step, effects_url)
        nodes.append(one)
        links.append(f"{source} > {name}.{sink_pin}")
        source = f"{name}.{source_pin}"
    nodes.append(agent_output("out"))
    links.append(f"{source} > out.value")
    return graph(*nodes, links="\n".join(links))


def added(steps: Sequence[Step]) -> int:
    """By how much the output is above the input."""
    return sum(step in (PURE, EFFECT) for step in steps)


def _step(name: str, step: Step, effects_url: str) -> tuple[Document, str, str]:
    match step:
        case "pure":
            return node(name, Calculator, operation="Add", b=1), "a", "result"
        case "effect":
            one = node(name, SendWebRequest, url=effects_url)
            return one, "body_#_number", "response_#_number"
        case _:
            return node(name, Wait, seconds=step), "data", "output"
