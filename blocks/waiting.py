"""Letting time pass."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from blocks.contract import BlockContext, BlockFailure, Category, Pins, TimerBlock, Yields, pin
from domain.limits import run_limits


class Wait(TimerBlock):
    id = "3e52601a-278e-41a7-86e9-05c364a6a3e0"
    description = "Hold a value back for some time"
    categories = (Category.BASIC,)

    class Input(Pins):
        seconds: Annotated[float, pin("How long")]
        data: Annotated[Any, pin("The value to send on afterwards")] = None

    class Output(Pins):
        output: Annotated[Any, pin("The value")]

    test_input: ClassVar = {"seconds": 0.5, "data": "later"}
    test_output = (("output", "later"),)

    def delay(self, inputs: Input) -> float:
        if not 0 <= inputs.seconds <= run_limits.WAIT_SECONDS_MAX:
            raise BlockFailure(f"seconds must be between 0 and {run_limits.WAIT_SECONDS_MAX}")
        return inputs.seconds

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        yield "output", inputs.data
