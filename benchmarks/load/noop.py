"""A block that acts on the world without doing anything, so that only the engine is measured."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from blocks.contract import Block, BlockContext, Category, Pins, Yields, pin
from domain.contracts import Effect


class NoOperation(Block):
    id = "9817324c-687b-4608-bec8-15151d9b3f4e"
    description = "Hand a value on, with all the care that an effect asks for"
    categories = (Category.BASIC,)
    effect = Effect.EFFECTFUL

    class Input(Pins):
        value: Annotated[Any, pin("The value")]

    class Output(Pins):
        value: Annotated[Any, pin("The same value")]

    test_input: ClassVar = {"value": 1}
    test_output = (("value", 1),)

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        yield "value", inputs.value
