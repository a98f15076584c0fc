"""Graphs of a few strands side by side, each a chain of steps from the input to the output."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from blocks.agents import AgentExecutor
from blocks.logic import Calculator
from blocks.reviews import HumanInTheLoop
from blocks.waiting import Wait
from blocks.web import SendWebRequest
from tests.simulation.blocks import EndsCancelled, Linger
from tests.support.graphs import Document, agent_input, agent_output, graph, node, with_policy

URL = "http://service.invalid/"

PURE, EFFECT, DOUBTED, LINGER, ASK = "pure", "effect", "doubted", "linger", "ask"
CANCELLED = "cancelled"
"""A DOUBTED one is an effect of which a person says what to do when it was cut off; a CANCELLED one
fails.
"""
WAIT_SECONDS_MAX = 6.0


class Child(NamedTuple):
    """A run of a graph of one strand, which adds so much."""

    graph_id: str
    added: int


Step: TypeAlias = str | float | Child
"""A kind of node, how many seconds to wait, or a sub-graph."""
Strand: TypeAlias = Sequence[Step]


def bundle(strands: Sequence[Strand]) -> Document:
    """Each strand hands the input `in`, and what its steps added to it, to the output `out`."""
    nodes, links = [agent_input("in"), agent_output("out")], []
    for place, strand in enumerate(strands):
        source = "in.result"
        for number, step in enumerate(strand):
            name = f"node {place} {number}"
            one, sink_pin, source_pin = _node(name, step)
            nodes.append(one)
            links.append(f"{source} > {name}.{sink_pin}")
            source = f"{name}.{source_pin}"
        links.append(f"{source} > out.value")
    return graph(*nodes, links="\n".join(links))


def added(strand: Strand) -> int:
    """By how much a strand's output is above the input."""
    children = sum(step.added for step in strand if isinstance(step, Child))
    return children + sum(step in (PURE, EFFECT, DOUBTED) for step in strand)


def some_strand(chance: random.Random, children: Sequence[Child] = ()) -> Strand:
    """A strand as it is drawn."""
    steps: list[Step] = []
    for _ in range(chance.randint(1, 6)):
        draw = chance.random()
        if draw < 0.4:
            steps += [PURE] * chance.randint(1, 4)
        elif draw < 0.6:
            steps.append(EFFECT)
        elif draw < 0.65:
            steps.append(DOUBTED)
        elif draw < 0.8:
            steps.append(LINGER)
        elif draw < 0.81:
            steps.append(CANCELLED)
        elif draw < 0.85:
            steps.append(ASK)
        elif draw < 0.9 or not children:
            steps.append(round(chance.uniform(0.1, WAIT_SECONDS_MAX), 2))
        else:
            steps.append(chance.choice(children))
    return steps


def _node(name: str, step: Step) -> tuple[Document, str, str]:
    """The node, where it takes the number, and where it hands it on."""
    request = node(name, SendWebRequest, url=URL)
    match step:
        case "pure":
            found = node(name, Calculator, operation="Add", b=1), "a", "result"
        case "effect":
            found = request, "body_#_number", "response"
        case "doubted":
            found = with_policy(request, in_doubt="ask"), "body_#_number", "response"
        case "ask":
            found = node(name, HumanInTheLoop, name="a number"), "data", "approved_data"
        case "linger":
            found = node(name, Linger), "value", "output"
        case "cancelled":
            found = node(name, EndsCancelled), "value", "output"
        case Child(graph_id):
            found = _agent(name, graph_id), "in", "out"
        case _:
            found = node(name, Wait, seconds=step), "data", "output"
    return found


def _agent(name: str, graph_id: str) -> Document:
    return node(
        name,
        AgentExecutor,
        graph_id=graph_id,
        graph_version=1,
        inputs={},
        input_schema={"properties": {"in": {}}},
        output_schema={"properties": {"out": {}}},
    )
