"""Where values enter and leave a graph."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from blocks import templates
from blocks.contract import AsyncYields, Block, BlockContext, Category, Outputs, Pins, Yields, pin
from domain.contracts import BlockKind


class AgentInput(Block):
    id = "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b"
    description = "A value that whoever starts the agent gives it"
    categories = (Category.INPUT, Category.BASIC)
    kind = BlockKind.INPUT
    static_output = True

    class Input(Pins):
        name: Annotated[str, pin("The name that the value is given under")]
        value: Annotated[Any, pin("The value; until a run brings its own, the default")] = None
        title: Annotated[str | None, pin("The heading shown for the value", advanced=True)] = None
        description: Annotated[str | None, pin("What the value is for", advanced=True)] = None
        advanced: Annotated[bool, pin("Show it among the advanced ones", advanced=True)] = False
        secret: Annotated[bool, pin("Hide the value when it is shown", advanced=True)] = False

    class Output(Pins):
        result: Annotated[Any, pin("The value, unless it is null")]

    test_input: ClassVar = {"name": "city", "value": "Lyon"}
    test_output = (("result", "Lyon"),)

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        if inputs.value is not None:
            yield "result", inputs.value


class AgentOutput(Block):
    id = "363ae599-353e-4804-937e-b2ee3cef3da4"
    description = "A value that the agent hands back, as it is or through a template"
    categories = (Category.OUTPUT, Category.BASIC)
    kind = BlockKind.OUTPUT
    static_output = True

    class Input(Pins):
        name: Annotated[str, pin("The name that the value is handed back under")]
        value: Annotated[Any, pin("The value to hand back")] = None
        title: Annotated[str | None, pin("The heading shown for the value", advanced=True)] = None
        description: Annotated[str | None, pin("What the value is", advanced=True)] = None
        format: Annotated[
            str, pin("A Jinja2 template in which the value has the output's name", advanced=True)
        ] = ""
        escape_html: Annotated[bool, pin("Escape HTML in the value", advanced=True)] = False
        advanced: Annotated[bool, pin("Show it among the advanced ones", advanced=True)] = False
        secret: Annotated[bool, pin("Hide the value when it is shown", advanced=True)] = False

    class Output(Pins):
        output: Annotated[Any, pin("The value, or the text made from it")]
        name: Annotated[Any, pin("The name; only when there is no template")]

    test_input: ClassVar = {"name": "city", "value": "Lyon", "format": "Off to {{ city }}!"}
    test_output = (("output", "Off to Lyon!"),)

    def run(self, inputs: Input, context: BlockContext) -> Outputs:
        if not inputs.format:
            return iter((("output", inputs.value), ("name", inputs.name)))
        job = templates.Job(inputs.format, {inputs.name: inputs.value}, inputs.escape_html)
        try:
            text = templates.render_now(job)
        except templates.TemplateFailure as failure:
            text = f"Error: {failure}"
        return self._apart(job, context) if text is None else iter((("output", text),))

    async def _apart(self, job: templates.Job, context: BlockContext) -> AsyncYields:
        try:
            text = await context.templates.render(job)
        except templates.TemplateFailure as failure:
            text = f"Error: {failure}"
        yield "output", text
