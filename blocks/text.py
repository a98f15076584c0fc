"""Making texts from texts."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from blocks import templates
from blocks.contract import (
    AsyncYields,
    Block,
    BlockContext,
    BlockFailure,
    Category,
    Outputs,
    Pins,
    Yields,
    pin,
)
from domain.limits import run_limits


class FillTextTemplate(Block):
    id = "db7d8f02-2f44-4c55-ab7a-eae0941f0c30"
    description = "Fill the gaps of a Jinja2 template with values"
    categories = (Category.TEXT,)

    class Input(Pins):
        values: Annotated[dict[str, Any], pin("The values, by the names the template uses")]
        format: Annotated[str, pin("The template", placeholder="Dear {{ name }},")]
        escape_html: Annotated[bool, pin("Escape HTML in the values", advanced=True)] = False

    class Output(Pins):
        output: Annotated[str, pin("The filled template")]

    test_input: ClassVar = {
        "values": {"name": "Ada", "tags": ["x", "<y>"]},
        "format": "{{ name | upper }}:{% for tag in tags %} {{ tag }}{% endfor %}",
        "escape_html": True,
    }
    test_output = (("output", "ADA: x &lt;y&gt;"),)

    def run(self, inputs: Input, context: BlockContext) -> Outputs:
        job = templates.Job(inputs.format, inputs.values, inputs.escape_html)
        text = templates.render_now(job)
        return self._apart(job, context) if text is None else iter((("output", text),))

    async def _apart(self, job: templates.Job, context: BlockContext) -> AsyncYields:
        yield "output", await context.templates.render(job)


class CombineTexts(Block):
    id = "e30a4d42-7b7d-4e6a-b36e-1f9b8e3b7d85"
    description = "Put texts one after the other"
    categories = (Category.TEXT,)

    class Input(Pins):
        input: Annotated[list[str], pin("The texts, in order")]
        delimiter: Annotated[str, pin("What to put between them")] = ""

    class Output(Pins):
        output: Annotated[str, pin("One text")]

    test_input: ClassVar = {"input": ["a", "b", "c"], "delimiter": ", "}
    test_output = (("output", "a, b, c"),)

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        gaps = max(len(inputs.input) - 1, 0)
        length = sum(map(len, inputs.input)) + gaps * len(inputs.delimiter)
        if length > run_limits.NODE_OUTPUT_BYTES_MAX:
            raise BlockFailure(f"The text would have {length} characters, which is too long")
        yield "output", inputs.delimiter.join(inputs.input)


class TextProcessing(Block):
    id = "7a723849-d689-4e3d-ab85-cd33e11551db"
    description = "Change the case of a text, reverse it, or count its words"
    categories = (Category.TEXT,)

    class Input(Pins):
        text: Annotated[str, pin("The text")]
        operation: Annotated[str, pin("One of upper, lower, reverse, word_count; in any case")]

    class Output(Pins):
        result: Annotated[dict[str, Any], pin("The changed text and the facts about it together")]
        processed_text: Annotated[str, pin("The changed text")]
        metadata: Annotated[
            dict[str, Any], pin("original_length, processed_length, operation, timestamp")
        ]
        word_count: Annotated[dict[str, Any], pin("For word_count only: the count")]

    test_input: ClassVar = {"text": "Hello", "operation": "upper"}
    test_output = (
        (
            "result",
            {
                "processed_text": "HELLO",
                "metadata": {
                    "original_length": 5,
                    "processed_length": 5,
                    "operation": "upper",
                    "timestamp": "2026-01-01T00:00:00+00:00",
                },
            },
        ),
        ("processed_text", "HELLO"),
        (
            "metadata",
            {
                "original_length": 5,
                "processed_length": 5,
                "operation": "upper",
                "timestamp": "2026-01-01T00:00:00+00:00",
            },
        ),
    )

    def run(self, inputs: Input, context: BlockContext) -> Yields:
        operation = inputs.operation.lower()
        if operation == "word_count":
            yield "word_count", {"count": len(inputs.text.split())}
            return
        processed = _processed(inputs.text, operation)
        metadata = {
            "original_length": len(inputs.text),
            "processed_length": len(processed),
            "operation": operation,
            "timestamp": context.now.isoformat(),
        }
        yield "result", {"processed_text": processed, "metadata": metadata}
        yield "processed_text", processed
        yield "metadata", metadata


def _processed(text: str, operation: str) -> str:
    match operation:
        case "upper":
            return text.upper()
        case "lower":
            return text.lower()
        case "reverse":
            return text[::-1]
    raise BlockFailure(f"Unsupported operation: {operation}")
