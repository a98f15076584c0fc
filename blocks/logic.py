"""Comparing, counting, calculating, repeating."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from blocks.contract import Block, BlockContext, BlockFailure, Category, Pins, Yields, pin
from domain.errors import Invalid
from domain.json_values import finite_or_text, read_text
from domain.limits import run_limits, value_limits

NonFinite = Literal["Infinity", "-Infinity", "NaN"]


class Condition(Block):
    id = "715696a0-e1da-45c8-b209-c2fa9c3b0be6"
    description = "Compare two values and send one on, depending on the result"
    categories = (Category.LOGIC,)

    class Input(Pins):
        value1: Annotated[Any, pin("The left side; a text that spells a number counts as one")]
        operator: Annotated[Literal["==", "!=", ">", "<", ">=", "<="], pin("How to compare")]
        value2: Annotated[Any, pin("The right side, read like the left")]
        yes_value: Annotated[Any, pin("What to send when it holds; else the left side")] = None
        no_value: Annotated[Any, pin("What to send when it does not; else the right side")] = None

    class Output(Pins):
        result: Annotated[bool, pin("Whether the comparison holds")]
        yes_output: Annotated[Any, pin("Sent when it holds")]
        no_output: Annotated[Any, pin("Sent when it does not")]

    test_input: ClassVar = {"value1": " 10 ", "operator": ">", "value2": 9, "yes_value": "more"}
    test_output = (("result", True), ("yes_output", "more"))

    _compare: ClassVar[dict[str, Callable[[Any, Any], bool]]] = {
        "==": operator.eq,
        "!=": operator.ne,
        ">": operator.gt,
        "<": operator.lt,
        ">=": operator.ge,
        "<=": operator.le,
    }

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        left, right = _number_or_text(inputs.value1), _number_or_text(inputs.value2)
        try:
            result = self._compare[inputs.operator](left, right)
        except TypeError:
            kinds = f"{type(left).__name__} and {type(right).__name__}"
            raise BlockFailure(f"{kinds} cannot be compared with {inputs.operator}") from None
        yield "result", result
        if result:
            yield "yes_output", _json(left) if inputs.yes_value is None else inputs.yes_value
        else:
            yield "no_output", _json(right) if inputs.no_value is None else inputs.no_value


class Calculator(Block):
    id = "b1ab9b19-67a6-406d-abf5-2dba76d00c79"
    description = "Calculate with two numbers"
    categories = (Category.LOGIC,)

    class Input(Pins):
        operation: Annotated[
            Literal["Add", "Subtract", "Multiply", "Divide", "Power"],
            pin("What to do"),
        ]
        a: Annotated[float, pin("The first number")]
        b: Annotated[float, pin("The second number")]
        round_result: Annotated[bool, pin("Round to a whole number")] = False

    class Output(Pins):
        result: Annotated[float | NonFinite, pin("The number; NaN when there is none")]

    test_input: ClassVar = {"operation": "Divide", "a": 7, "b": 2, "round_result": False}
    test_output = (("result", 3.5),)

    _calculate: ClassVar[dict[str, Callable[[float, float], Any]]] = {
        "Add": operator.add,
        "Subtract": operator.sub,
        "Multiply": operator.mul,
        "Divide": operator.truediv,
        "Power": operator.pow,
    }

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        try:
            result = self._calculate[inputs.operation](inputs.a, inputs.b)
        except ZeroDivisionError:
            result = math.inf
        except OverflowError:
            result = math.nan
        if isinstance(result, complex):
            result = math.nan
        yield "result", _json(_rounded(result) if inputs.round_result else result)


class CountItems(Block):
    id = "3c9c2f42-b0c3-435f-ba35-05f7a25c772a"
    description = "Count the elements of a list or object, or the characters of a text"
    categories = (Category.LOGIC,)

    class Input(Pins):
        collection: Annotated[Any, pin("What to count")]

    class Output(Pins):
        count: Annotated[int, pin("How many; -1 for what cannot be counted")]

    test_input: ClassVar = {"collection": ["a", "b", "c"]}
    test_output = (("count", 3),)

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        countable = isinstance(inputs.collection, str | list | dict)
        yield "count", len(inputs.collection) if countable else -1


class StepThroughItems(Block):
    id = "f66a3543-28d3-4ab5-8945-9b336371e2ce"
    description = "Send on the elements of lists and objects one after the other"
    categories = (Category.LOGIC,)

    class Input(Pins):
        items: Annotated[list[Any], pin("A list")] = msgspec.field(default_factory=list)
        items_object: Annotated[dict[str, Any], pin("An object")] = msgspec.field(
            default_factory=dict
        )
        items_str: Annotated[str, pin("A list or an object as JSON text")] = ""

    class Output(Pins):
        item: Annotated[Any, pin("An element")]
        key: Annotated[Any, pin("Its key in the object or its index in the list, from 0")]

    test_input: ClassVar = {"items": ["a", "b"], "items_object": {"x": 1}}
    test_output = (
        ("item", "a"),
        ("key", 0),
        ("item", "b"),
        ("key", 1),
        ("item", 1),
        ("key", "x"),
    )

    def run(self, inputs: Input, _context: BlockContext) -> Yields:
        collections = (inputs.items, inputs.items_object, _collection(inputs.items_str))
        count = sum(len(collection) for collection in collections)
        if count > run_limits.STEP_THROUGH_ITEMS_MAX:
            raise BlockFailure(f"{count} items are more than {run_limits.STEP_THROUGH_ITEMS_MAX}")
        for collection in collections:
            for key, item in _entries(collection):
                yield "item", item
                yield "key", key


def _number_or_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        return float(text)
    except ValueError:
        return text


def _json(value: Any) -> Any:
    return finite_or_text(value) if isinstance(value, float) else value


def _rounded(number: float) -> float:
    if not math.isfinite(number) or abs(number) > value_limits.JSON_INTEGER_MAX:
        return number
    return round(number)


def _collection(text: str) -> list[Any] | dict[str, Any]:
    if not text:
        return []
    try:
        value = read_text(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BlockFailure(f"items_str is not JSON: {error}") from None
    except Invalid as error:
        raise BlockFailure(f"items_str: {error}") from None
    if not isinstance(value, list | dict):
        raise BlockFailure("items_str holds neither a list nor an object")
    return value


def _entries(collection: list[Any] | dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    if isinstance(collection, dict):
        return iter(collection.items())
    return enumerate(collection)
