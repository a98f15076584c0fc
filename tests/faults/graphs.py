"""Chains of nodes that each add one, with and without effects, some that wait, and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from blocks.contract import Block
from blocks.logic import Calculator
from blocks.waiting import Wait
from blocks.web import SendWebRequest
from tests.support.graphs import (
    Document,
    agent,
    agent_input,
    agent_output,
    graph,
    node,
    with_policy,
)

PURE = "pure"
EFFECT = "effect"


class Other(NamedTuple):
    """A node of any block between two pins, which hands the number on as it is."""

    block: type[Block]
    sink: str = "value"
    source: str = "output"


class Doubted(NamedTuple):
    """An effect, and what its policy says to do when it is in doubt."""

    in_doubt: str


Step: TypeAlias = str | float | Other | Doubted
"""PURE, EFFECT, how many seconds to wait, or something else."""


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


def parent(child: Document, times: int, effects_url: str) -> Document:
    """A graph that runs the chain `child` so often, side by side, and beside them an effect.

    All of them get the input `in`, and hand back to the output `out`.
    """
    links = ["in.result > own.body_#_number", "own.response_#_number > out.value"]
    children = [f"child {number}" for number in range(times)]
    for name in children:
        links += [f"in.result > {name}.in", f"{name}.out > out.value"]
    return graph(
        *(agent_input("in"), agent_output("out"), node("own", SendWebRequest, url=effects_url)),
        *(agent(name, child) for name in children),
        links="\n".join(links),
    )


def added(steps: Sequence[Step]) -> int:
    """By how much the output is above the input."""
    return sum(step in (PURE, EFFECT) or isinstance(step, Doubted) for step in steps)


def _step(name: str, step: Step, effects_url: str) -> tuple[Document, str, str]:
    request = node(name, SendWebRequest, url=effects_url)
    match step:
        case "pure":
            return node(name, Calculator, operation="Add", b=1), "a", "result"
        case "effect":
            return request, "body_#_number", "response_#_number"
        case Doubted(in_doubt):
            doubted = with_policy(request, in_doubt=in_doubt)
            return doubted, "body_#_number", "response_#_number"
        case Other(block, sink, source):
            return node(name, block), sink, source
        case _:
            return node(name, Wait, seconds=step), "data", "output"
