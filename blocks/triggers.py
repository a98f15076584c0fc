"""Where events from outside start a run."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from blocks.contract import Block, BlockContext, Category, Pins, Yields, pin
from domain.contracts import BlockKind


class GenericWebhookTrigger(Block):
    id = "8fa8c167-2002-47ce-aba8-97572fc5d387"
    description = "Begin with what somebody sends to the graph's own address"
    categories = (Category.INPUT,)
    kind = BlockKind.WEBHOOK

    class Input(Pins):
        payload: Annotated[dict[str, Any], pin("What was sent; it comes with each event")] = (
            msgspec.field(default_factory=dict)
        )
        constants: Annotated[dict[str, Any], pin("Values that go along with every event")] = (
            msgspec.field(default_factory=dict)
        )

    class Output(Pins):
        payload: Annotated[dict[str, Any], pin("What was sent")]
        constants: Annotated[dict[str, Any], pin("The constant values")]

    test_input: ClassVar = {"payload": {"order": 7}, "constants": {"shop": "north"}}
    test_output = (("payload", {"order": 7}), ("constants", {"shop": "north"}))

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        yield "payload", inputs.payload
        yield "constants", inputs.constants
