from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.engine.coercion import compile_coercion, compile_fit
from domain.engine.schemas import compile_check
from domain.json_values import check_json
from domain.limits import memory_limits, value_limits
from tests.domain.values import json_values, scalars


def typed(kind: str) -> dict[str, Any]:
    return {"type": kind}


def either(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(schemas)}


def same(left: object, right: object) -> bool:
    """Equal as JSON: 1, 1.0 and true are three values."""
    return msgspec.json.encode(left) == msgspec.json.encode(right)


STRING, INTEGER, NUMBER = typed("string"), typed("integer"), typed("number")
BOOLEAN, ARRAY, OBJECT, NULL = typed("boolean"), typed("array"), typed("object"), typed("null")
INTEGERS = {"type": "array", "items": INTEGER}
COLOUR = {"enum": ["red", "blue"]}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (STRING, {"a": [1, None]}, '{"a":[1,null]}'),
        (STRING, 5, "5"),
        (STRING, 1.5, "1.5"),
        (STRING, True, "true"),
        (STRING, "text", "text"),
        (STRING, None, "null"),
        (INTEGER, "abc", 0),
        (INTEGER, "12", 12),
        (INTEGER, " -12.9 ", -12),
        (INTEGER, "9007199254740993", 9007199254740993),
        (INTEGER, 5.0, 5),
        (INTEGER, -5.9, -5),
        (INTEGER, True, 1),
        (INTEGER, None, 0),
        (INTEGER, [1, 2, 3], 3),
        (INTEGER, {"a": 1}, 1),
        (INTEGER, "Infinity", 0),
        (INTEGER, "NaN", 0),
        (INTEGER, 1e300, 0),
        (INTEGER, "9" * 5000, 0),
        (INTEGER, str(2**63), 0),
        (NUMBER, 5, 5),
        (NUMBER, 5.0, 5.0),
        (NUMBER, "5", 5.0),
        (NUMBER, "abc", 0),
        (NUMBER, "", 0),
        (NUMBER, True, 1.0),
        (NUMBER, None, 0),
        (NUMBER, [1, 2], 2),
        (NUMBER, "NaN", "NaN"),
        (NUMBER, "nan", "NaN"),
        (NUMBER, "inf", "Infinity"),
        (NUMBER, "-infinity", "-Infinity"),
        (NUMBER, "-1e999", "-Infinity"),
        (BOOLEAN, "1", True),
        (BOOLEAN, "TRUE", True),
        (BOOLEAN, "yes", False),
        (BOOLEAN, "", False),
        (BOOLEAN, 0, False),
        (BOOLEAN, 0.5, True),
        (BOOLEAN, [], False),
        (BOOLEAN, [0], True),
        (BOOLEAN, {}, False),
        (ARRAY, {"a": 1, "b": 2}, [["a", 1], ["b", 2]]),
        (ARRAY, "[1, 2]", [1, 2]),
        (ARRAY, " [1] ", [1]),
        (ARRAY, "[1, 2", ["[1, 2"]),
        (ARRAY, "[1, x]", ["[1, x]"]),
        (ARRAY, "[", ["["]),
        (ARRAY, '["\\u0000"]', ['["\\u0000"]']),
        (ARRAY, "text", ["text"]),
        (ARRAY, 5, [5]),
        (ARRAY, None, [None]),
        (INTEGERS, ["1", 2, "x"], [1, 2, 0]),
        (INTEGERS, "[1.5]", [1]),
        (INTEGERS, "7", [7]),
        ({"type": "array", "items": INTEGERS}, ["[1]", 2], [[1], [2]]),
        (OBJECT, '{"a": 1}', {"a": 1}),
        (OBJECT, "[1]", {"value": [1]}),
        (OBJECT, "text", {"value": "text"}),
        (OBJECT, "{", {"value": "{"}),
        (OBJECT, ["a", "b"], {"0": "a", "1": "b"}),
        (OBJECT, 5, {"value": 5}),
        ({"type": "object", "additionalProperties": STRING}, {"a": 1, "b": "x"}, None),
        ({"type": "object", "additionalProperties": False}, {"a": 1}, {"a": 1}),
        ({}, "[1]", "[1]"),
        (NULL, 5, 5),
        (either(INTEGER, NULL), None, None),
        (either(INTEGER, NULL), "7", 7),
        (either(INTEGER, NULL), "abc", 0),
        ({"type": ["integer", "null"]}, "abc", 0),
        (either(INTEGER, STRING), "7", "7"),
        (either(INTEGER, STRING), 7.5, 7),
        (either(INTEGER, STRING), True, 1),
        (either(INTEGER, ARRAY), "abc", ["abc"]),
        (either(INTEGER, BOOLEAN), "abc", False),
        (either(INTEGER, NUMBER), "abc", 0),
        (either(NUMBER, COLOUR), "red", "red"),
        (either(NUMBER, COLOUR), "2.5", 2.5),
        (either(COLOUR, {"enum": ["5"]}), 5, "5"),
        (either(COLOUR, NULL), "green", "green"),
        (either(COLOUR, {"enum": [1]}), "green", "green"),
        (either(NULL), 5, 5),
        (COLOUR, "red", "red"),
        (COLOUR, "green", "green"),
        ({"enum": ["5"]}, 5, "5"),
        ({"enum": [1, 2]}, "2", 2),
        ({"enum": [1, 2]}, 1.0, 1),
        ({"enum": [1, 2]}, True, 1),
        ({"enum": [1, 2.5]}, 1.0, 1),
        ({"enum": [1, "a"]}, "1", "1"),
        ({"enum": [True]}, 1, 1),
        ({"enum": [None, "a"]}, None, None),
        ({"const": "5"}, 5, "5"),
        ({"$ref": "#/$defs/Size", "$defs": {"Size": INTEGER}}, "7", 7),
        ({"type": "array", "items": {"$ref": "#/$defs/C"}, "$defs": {"C": COLOUR}}, "red", ["red"]),
    ],
)
def test_table(schema: dict[str, Any], value: Any, expected: Any) -> None:
    if expected is None and value is not None:
        expected = {"a": "1", "b": "x"}
    converted = compile_coercion(schema)(value)
    assert same(converted, expected), converted


def test_a_text_that_nests_too_deep_is_taken_as_a_text() -> None:
    for depth in (value_limits.JSON_DEPTH_MAX + 1, 100_000):
        text = "[" * depth + "]" * depth
        assert compile_coercion(ARRAY)(text) == [text]
        assert compile_coercion(OBJECT)(text) == {"value": text}


simple_schemas = st.sampled_from(
    [
        {},
        *(STRING, INTEGER, NUMBER, BOOLEAN, ARRAY, OBJECT, NULL, COLOUR),
        {"enum": [1, 2.5, "NaN", None, True]},
        {"enum": [0, 1]},
    ]
)
schemas: st.SearchStrategy[dict[str, Any]] = st.recursive(
    simple_schemas,
    lambda inner: st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        inner.map(lambda values: {"type": "object", "additionalProperties": values}),
        st.lists(inner, min_size=1, max_size=3).map(lambda members: {"anyOf": members}),
    ),
    max_leaves=4,
)


@given(schemas, json_values)
def test_coercion_is_idempotent(schema: dict[str, Any], value: Any) -> None:
    convert = compile_coercion(schema)
    once = convert(value)
    assert convert(once) is once or same(convert(once), once)


@given(schemas, json_values)
def test_what_fits_is_returned_itself(schema: dict[str, Any], value: Any) -> None:
    converted = compile_coercion(schema)(value)
    if compile_fit(schema)(value):
        assert converted is value
    if compile_check(schema)(converted) is None:
        assert compile_fit(schema)(converted)


@given(schemas, json_values)
def test_coercion_gives_json_and_changes_no_argument(schema: dict[str, Any], value: Any) -> None:
    before = copy.deepcopy(value)
    check_json(compile_coercion(schema)(value), "converted")
    assert same(value, before)


@pytest.mark.parametrize(
    "declared",
    [
        str,
        int,
        bool,
        list[Any],
        list[int],
        list[list[str]],
        dict[str, Any],
        dict[str, list[bool]],
        int | None,
        int | str,
        str | list[int] | None,
        Any,
    ],
    ids=str,
)
@given(value=json_values)
def test_a_block_reads_every_coerced_value_as_it_is(declared: Any, value: Any) -> None:
    converted = compile_coercion(msgspec.json.schema(declared))(value)
    assert same(msgspec.convert(converted, declared, strict=False), converted)


@pytest.mark.parametrize(
    "declared",
    [
        float,
        float | None,
        float | bool | None,
        list[float],
        dict[str, list[float]],
        Annotated[float, msgspec.Meta(title="A number")],
        float | Literal["Infinity", "-Infinity", "NaN"],
    ],
    ids=str,
)
@given(value=json_values)
def test_a_block_can_read_every_coerced_number(declared: Any, value: Any) -> None:
    msgspec.convert(compile_coercion(msgspec.json.schema(declared))(value), declared, strict=False)


def test_a_text_that_holds_very_many_values_stays_a_text() -> None:
    to_list, to_object = compile_coercion(ARRAY), compile_coercion({"type": "object"})
    most = f"[{','.join(['[]'] * (memory_limits.TEXT_VALUES_MAX // 2))}]"
    assert len(to_list(most)) == len(to_object(most)["value"]) == memory_limits.TEXT_VALUES_MAX // 2
    more = f"[[],{most[1:]}"
    assert to_list(more) == [more]
    assert to_object(more) == {"value": more}
    assert to_list(msgspec.json.encode([more]).decode()) == [more]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_not_finite_reaches_a_block_as_a_float(text: str) -> None:
    converted = compile_coercion(NUMBER)(text)
    assert converted is text
    assert repr(msgspec.convert(converted, float, strict=False)) == repr(float(text))


@given(scalars)
def test_a_number_is_never_not_finite(value: Any) -> None:
    converted = compile_coercion(NUMBER)(value)
    assert compile_fit(NUMBER)(converted)
    check_json(converted, "converted")
