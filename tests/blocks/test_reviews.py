from __future__ import annotations

from typing import Any

import msgspec
import pytest

from blocks.contract import Question, Reviewed
from blocks.reviews import HumanInTheLoop
from tests.blocks.support import outputs_of

LETTER: dict[str, Any] = {"data": {"subject": "Hello"}, "name": "The letter"}


@pytest.mark.parametrize("editable", [True, False])
def test_a_person_is_asked_about_the_data(*, editable: bool) -> None:
    inputs = msgspec.convert({**LETTER, "editable": editable}, HumanInTheLoop.Input)
    expected = Question(name="The letter", data={"subject": "Hello"}, editable=editable)
    assert HumanInTheLoop().question(inputs) == expected


@pytest.mark.parametrize(
    ("review", "outputs"),
    [
        (Reviewed(approved=True, data={"subject": "Hi"}), [("approved_data", {"subject": "Hi"})]),
        (Reviewed(approved=False, data={"subject": "Hello"}), [("rejected_data", LETTER["data"])]),
        (
            Reviewed(approved=False, data=None, message="not now"),
            [("rejected_data", None), ("review_message", "not now")],
        ),
        (
            Reviewed(approved=True, data=0, message="fine"),
            [("approved_data", 0), ("review_message", "fine")],
        ),
    ],
)
async def test_the_answer_chooses_the_output(
    review: Reviewed, outputs: list[tuple[str, Any]]
) -> None:
    assert await outputs_of(HumanInTheLoop(), LETTER, review=review) == outputs
