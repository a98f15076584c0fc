"""Asking people."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from blocks.contract import BlockContext, Category, Pins, Question, ReviewBlock, Yields, pin
from domain.contracts import BlockKind


class HumanInTheLoop(ReviewBlock):
    id = "8b2a7b3c-6e9d-4a5f-8c1b-2e3f4a5b6c7d"
    description = "Wait for a person to approve, change or reject a value"
    categories = (Category.BASIC,)
    kind = BlockKind.HUMAN_IN_THE_LOOP

    class Input(Pins):
        data: Annotated[Any, pin("The value to judge")]
        name: Annotated[str, pin("What the person is told that the value is")]
        editable: Annotated[bool, pin("Let the person change the value")] = True

    class Output(Pins):
        approved_data: Annotated[Any, pin("The value, with the person's changes, if approved")]
        rejected_data: Annotated[Any, pin("The value, if rejected")]
        review_message: Annotated[str, pin("What the person had to say, if anything")]

    test_input: ClassVar = {"data": {"subject": "Hello"}, "name": "The letter to send"}
    test_output = (("approved_data", {"subject": "Hello"}),)

    def question(self, inputs: Input) -> Question:
        return Question(inputs.name, inputs.data, inputs.editable)

    def run(self, _inputs: Input, context: BlockContext) -> Yields:
        review = context.review
        assert review is not None
        yield "approved_data" if review.approved else "rejected_data", review.data
        if review.message:
            yield "review_message", review.message
