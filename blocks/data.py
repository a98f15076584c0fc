"""Keeping values and putting them together."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from blocks.contract import Block, BlockContext, Category, Pins, Yields, pin


class StoreValue(Block):
    id = "1ff065e9-88e8-4358-9d82-8dc91f622ba9"
    description = "Keep a value for as often as it is needed"
    categories = (Category.BASIC,)
    static_output = True

    class Input(Pins):
        input: Annotated[Any, pin("The value, unless there is data")]
        data: Annotated[Any, pin("The value to prefer, unless it is empty")] = None

    class Output(Pins):
        output: Annotated[Any, pin("The kept value")]

    test_input: ClassVar = {"input": "fallback", "data": {"kept": True}}
    test_output = (("output", {"kept": True}),)

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        yield "output", inputs.data or inputs.input


class AddToList(Block):
    id = "aeb08fc1-2fc1-4141-bc8e-f758f183a822"
    description = "A new list with more entries, at the end or at a position"
    categories = (Category.BASIC,)

    class Input(Pins):
        items: Annotated[list[Any], pin("The list to begin with")] = msgspec.field(
            default_factory=list, name="list"
        )
        entry: Annotated[Any, pin("One entry to add, after the entries")] = None
        entries: Annotated[list[Any], pin("Entries to add")] = msgspec.field(default_factory=list)
        position: Annotated[int | None, pin("Where to add, from 0; negative from the end")] = None

    class Output(Pins):
        updated_list: Annotated[list[Any], pin("The new list")]

    test_input: ClassVar = {"list": [1, 5], "entries": [2, 3], "entry": 4, "position": 1}
    test_output = (("updated_list", [1, 2, 3, 4, 5]),)

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        added = inputs.entries if inputs.entry is None else [*inputs.entries, inputs.entry]
        cut = len(inputs.items) if inputs.position is None else inputs.position
        yield "updated_list", [*inputs.items[:cut], *added, *inputs.items[cut:]]
