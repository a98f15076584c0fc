from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.contract import BlockFailure
from blocks.logic import Calculator, Condition, CountItems, StepThroughItems
from domain.limits import memory_limits, run_limits
from tests.blocks.support import outputs_of

NUMBERS = st.floats(width=64)


@pytest.mark.parametrize(
    ("left", "operator", "right", "holds"),
    [
        (1, "==", 1.0, True),
        (" 1 ", "==", 1, True),
        ("1.50", "==", "1.5", True),
        (" a ", "==", "a", True),
        ("a", "!=", "b", True),
        ("10", ">", "9", True),
        ("b", ">", "a", True),
        (2, "<", 1, False),
        (2, ">=", 2, True),
        (3, "<=", 2, False),
        ([1, 2], "==", [1, 2], True),
        ({"a": 1}, "!=", {"a": 1}, False),
        ("nan", "==", "nan", False),
        ("Infinity", ">", 10**300, True),
    ],
)
async def test_a_condition_compares(left: Any, operator: str, right: Any, holds: bool) -> None:
    data = {
        "value1": left,
        "operator": operator,
        "value2": right,
        "yes_value": "y",
        "no_value": "n",
    }
    branch = ("yes_output", "y") if holds else ("no_output", "n")
    assert await outputs_of(Condition(), data) == [("result", holds), branch]


@pytest.mark.parametrize(
    ("operator", "branch"),
    [("<", ("yes_output", 1.5)), (">", ("no_output", "Infinity"))],
)
async def test_a_condition_passes_on_what_it_compared(
    operator: str, branch: tuple[str, Any]
) -> None:
    data = {"value1": " 1.5 ", "operator": operator, "value2": "inf"}
    assert (await outputs_of(Condition(), data))[1] == branch


@pytest.mark.parametrize(("left", "right"), [("a", 1), ([1], 1), ({}, {}), ([1], ["a"])])
async def test_what_has_no_order_is_not_compared(left: Any, right: Any) -> None:
    with pytest.raises(BlockFailure, match="cannot be compared with <"):
        await outputs_of(Condition(), {"value1": left, "operator": "<", "value2": right})


@pytest.mark.parametrize(
    ("operation", "a", "b", "rounded", "result"),
    [
        ("Add", 1, 2.5, False, 3.5),
        ("Subtract", 1, 2.5, False, -1.5),
        ("Multiply", 3, -2, False, -6.0),
        ("Divide", 7, 2, False, 3.5),
        ("Divide", 7, 2, True, 4),
        ("Power", 2, 10, True, 1024),
        ("Divide", 1, 0, False, "Infinity"),
        ("Divide", -1, 0, True, "Infinity"),
        ("Multiply", 1e200, -1e200, True, "-Infinity"),
        ("Multiply", 1e200, 1e100, True, 1e300),
        ("Power", 10, 400, False, "NaN"),
        ("Power", -8, 0.5, False, "NaN"),
        ("Power", 0, -1, False, "Infinity"),
        ("Subtract", float("inf"), float("inf"), False, "NaN"),
    ],
)
async def test_a_calculation(
    operation: str, a: float, b: float, rounded: bool, result: Any
) -> None:
    data = {"operation": operation, "a": a, "b": b, "round_result": rounded}
    ((name, value),) = await outputs_of(Calculator(), data)
    assert (name, value, type(value)) == ("result", result, type(result))


@settings(database=None, deadline=None)
@given(
    operation=st.sampled_from(["Add", "Subtract", "Multiply", "Divide", "Power"]),
    a=NUMBERS,
    b=NUMBERS,
    rounded=st.booleans(),
)
async def test_every_calculation_survives_json(
    operation: str, a: float, b: float, rounded: bool
) -> None:
    data = {"operation": operation, "a": a, "b": b, "round_result": rounded}
    ((_, value),) = await outputs_of(Calculator(), data)
    assert msgspec.json.decode(msgspec.json.encode(value)) == value
    msgspec.convert({"result": value}, Calculator.Output)


@pytest.mark.parametrize(
    ("collection", "count"),
    [([1, 2], 2), ({"a": 1}, 1), ("four", 4), ("", 0), (7, -1), (True, -1), (1.5, -1)],
)
async def test_items_are_counted(collection: Any, count: int) -> None:
    assert await outputs_of(CountItems(), {"collection": collection}) == [("count", count)]


async def test_items_of_every_source_come_with_their_keys() -> None:
    data = {"items": ["a"], "items_object": {"k": None}, "items_str": '{"x": [1]}'}
    assert await outputs_of(StepThroughItems(), data) == [
        ("item", "a"),
        ("key", 0),
        ("item", None),
        ("key", "k"),
        ("item", [1]),
        ("key", "x"),
    ]
    assert await outputs_of(StepThroughItems(), {}) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(("{", "not JSON"), ("7", "neither"), ('"a"', "neither"), ("[" * 5000, "not JSON")),
        (f"[{'[],' * memory_limits.TEXT_VALUES_MAX}[]]", "JSON of at most 100000 values"),
    ],
)
async def test_a_text_without_items_is_a_failure(text: str, message: str) -> None:
    with pytest.raises(BlockFailure, match=message):
        await outputs_of(StepThroughItems(), {"items_str": text})


async def test_there_is_an_end_to_items() -> None:
    most = list(range(run_limits.STEP_THROUGH_ITEMS_MAX))
    outputs = await outputs_of(StepThroughItems(), {"items": most})
    assert len(outputs) == 2 * run_limits.STEP_THROUGH_ITEMS_MAX <= run_limits.NODE_OUTPUTS_MAX
    with pytest.raises(BlockFailure, match="more than"):
        await outputs_of(StepThroughItems(), {"items": most, "items_object": {"one": 1}})
