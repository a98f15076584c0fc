"""Graphs as parts of other graphs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from blocks.contract import Block, Category, Pins, pin
from domain.contracts import BlockKind, Effect


class AgentExecutor(Block):
    """It has no `run`: the engine makes a run of its own of every execution.

    The pins that links see are those of the agent, as `input_schema` and `output_schema` tell.
    """

    id = "e189baac-8c20-45a1-94a7-55177ea42565"
    description = "Run another agent and hand on what it makes"
    categories = (Category.AGENT,)
    kind = BlockKind.AGENT
    effect = Effect.CHILD

    class Input(Pins):
        graph_id: Annotated[str, pin("Which agent to run")]
        graph_version: Annotated[int, pin("Which version of it")]
        user_id: Annotated[
            str, pin("Whose agent it was; it runs for whoever runs this graph", advanced=True)
        ] = ""
        agent_name: Annotated[str | None, pin("What the agent is called here")] = None
        inputs: Annotated[dict[str, Any], pin("What the agent is given, by input")] = msgspec.field(
            default_factory=dict
        )
        input_schema: Annotated[dict[str, Any], pin("The agent's inputs, as a JSON Schema")] = (
            msgspec.field(default_factory=dict)
        )
        output_schema: Annotated[dict[str, Any], pin("The agent's outputs, as a JSON Schema")] = (
            msgspec.field(default_factory=dict)
        )
        nodes_input_masks: Annotated[
            dict[str, dict[str, Any]] | None,
            pin("Always empty: the pins of an agent's nodes are set in the agent", advanced=True),
        ] = None

    class Output(Pins):
        pass

    test_input: ClassVar = {
        "graph_id": "8b1c9f0e-3a0f-4f57-9d0e-5d0f5f2a7c11",
        "graph_version": 1,
        "inputs": {"city": "Lyon"},
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        "output_schema": {"type": "object", "properties": {"weather": {"type": "string"}}},
    }
    test_output = ()
