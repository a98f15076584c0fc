from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contracts import BlockContract
from domain.engine.coercion import compile_coercion
from domain.engine.schemas import REQUIRED, compile_check, compile_inputs
from tests.domain.values import json_values


def either(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(schemas)}


PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
NAME = {"type": "string", "minLength": 2, "maxLength": 4}
NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({}, object, None),
        ({"type": "string"}, "", None),
        (PERCENT, 0, None),
        (PERCENT, 100.0, None),
        (PERCENT, -0.5, "must be at least 0"),
        (PERCENT, 101, "must be at most 100"),
        (PERCENT, "Infinity", "must be at most 100"),
        (PERCENT, "-Infinity", "must be at least 0"),
        (PERCENT, "NaN", "must be at least 0"),
        ({"type": "number", "minimum": 0}, "Infinity", None),
        ({"type": "integer", "exclusiveMinimum": 0}, 0, "must be more than 0"),
        ({"type": "integer", "exclusiveMaximum": 9}, 9, "must be less than 9"),
        ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9}, 8, None),
        (NAME, "a", "must have at least 2 characters"),
        (NAME, "abcde", "must have at most 4 characters"),
        (NAME, "图图", None),
        ({"type": "string", "minLength": 1}, "", "must have at least 1 character"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "abc", None),
        ({"type": "string", "pattern": "^[a-z]+$"}, "a1", "must match ^[a-z]+$"),
        ({"type": "string", "pattern": "b"}, "abc", None),
        ({"type": "array", "minItems": 1}, [], "must have at least 1 item"),
        ({"type": "array", "maxItems": 2}, [1, 2, 3], "must have at most 2 items"),
        ({"type": "array", "minItems": 1, "maxItems": 2}, [1], None),
        ({"type": "array", "items": PERCENT}, [1, 2], None),
        ({"type": "array", "items": PERCENT}, [1, 200], "[1] must be at most 100"),
        ({"type": "array", "items": PERCENT, "maxItems": 1}, [200, 1], "must have at most 1 item"),
        ({"type": "object", "minProperties": 2}, {"a": 1}, "must have at least 2 keys"),
        (
            {"type": "object", "additionalProperties": {"type": "array", "items": PERCENT}},
            {"a": [1], "b": [1, -1]},
            "['b'] [1] must be at least 0",
        ),
        ({"enum": ["a", 1]}, "a", None),
        ({"enum": ["a", 1]}, 1, None),
        ({"enum": ["a", 1]}, True, 'must be one of "a", 1'),
        ({"enum": ["a", 1]}, "b", 'must be one of "a", 1'),
        ({"const": "a"}, "b", 'must be one of "a"'),
        (NULL, None, None),
        (NULL, 5, "must be null"),
        (either(PERCENT, NULL), None, None),
        (either(PERCENT, NULL), 5, None),
        (either(PERCENT, NULL), 500, "must be at most 100"),
        (either({"enum": ["a"]}, NULL), "b", 'must be one of "a"'),
        (either({"enum": ["a"]}, PERCENT), "a", None),
        (either({"enum": ["a"]}, PERCENT), 500, "must be at most 100"),
        (either({"enum": ["a"]}, {"enum": [1]}), "b", "has none of the declared types"),
        (either(PERCENT, {"type": "integer"}), 500, None),
        (either(PERCENT, {"type": "string"}, NULL), None, None),
        (either({"type": "integer"}, {"type": "string"}), "x", None),
        ({"$ref": "#/$defs/P", "$defs": {"P": PERCENT}}, 101, "must be at most 100"),
    ],
)
def test_check(schema: dict[str, Any], value: Any, message: str | None) -> None:
    assert compile_check(schema)(value) == message


BOUNDED = [
    Annotated[int, msgspec.Meta(ge=1, lt=10)],
    Annotated[float, msgspec.Meta(gt=0, le=1)] | None,
    Annotated[str, msgspec.Meta(min_length=2, max_length=3)],
    Annotated[str, msgspec.Meta(pattern="^[0-9a-f]*$")],
    Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(min_length=1, max_length=2)],
    Annotated[dict[str, Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(max_length=1)],
    Literal["red", "blue"],
    Literal["red", 1] | None,
    list[Literal["red", "blue"]],
]


@pytest.mark.parametrize("declared", BOUNDED, ids=str)
@given(value=json_values | st.integers(-2, 12) | st.sampled_from(["red", "abc", "ab", ["red"]]))
def test_the_check_agrees_with_msgspec(declared: Any, value: Any) -> None:
    schema = msgspec.json.schema(declared)
    converted = compile_coercion(schema)(value)
    if compile_check(schema)(converted) is None:
        msgspec.convert(converted, declared, strict=False)
    else:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(converted, declared)


CONTRACT = BlockContract(
    block_id="block",
    name="ExampleBlock",
    inputs={
        "text": {"type": "string"},
        "values": {"type": "object"},
        "items": {"type": "array", "items": {"type": "integer"}},
        "share": {"anyOf": [PERCENT, NULL]},
        "anything": {},
    },
    outputs={},
    required=("text", "anything"),
)
GIVEN = {"text": "t", "anything": 1}


@pytest.mark.parametrize(
    ("data", "changes", "problems"),
    [
        ({}, {}, []),
        ({"text": 5}, {"text": "5"}, []),
        ({"unknown": {"any": 1}}, {}, []),
        ({"values_#_a": 1, "values_#_b": 2}, {"values": {"a": 1, "b": 2}}, []),
        ({"values": "text", "values_#_b": 2}, {"values": {"b": 2}}, []),
        ({"items_$_1": "7"}, {"items": [0, 7]}, []),
        ({"items_$_x": 1}, {}, [("items_$_x", "'x' is not a list index")]),
        ({"text": None}, {}, [("text", REQUIRED)]),
        ({"text": None, "anything": None}, {}, [("text", REQUIRED), ("anything", REQUIRED)]),
        ({"anything": None, "anything_#_a": 1}, {"anything": {"a": 1}}, []),
        ({"share": None}, {}, []),
        ({"share": "101"}, {"share": 101.0}, [("share", "must be at most 100")]),
    ],
)
def test_prepare(
    data: dict[str, Any], changes: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    whole = {**GIVEN, **data}
    prepared, found = compile_inputs(CONTRACT).prepare(whole)
    assert prepared == {**whole, **changes}
    assert [(pin, message.split(":")[0]) for pin, message in found] == problems


def test_defaults_come_first_so_that_parts_extend_them() -> None:
    rules = compile_inputs(CONTRACT)
    defaults = {"values": {"kept": 1}, "text": "default"}
    prepared, problems = rules.prepare({**defaults, "values_#_new": 2, "anything": 0})
    assert problems == []
    assert prepared["values"] == {"kept": 1, "new": 2}
    assert defaults == {"values": {"kept": 1}, "text": "default"}


pins = st.sampled_from(["text", "values", "items", "share", "anything", "values_#_a", "items_$_1"])


@given(st.dictionaries(pins, json_values))
def test_preparing_is_idempotent_and_changes_no_argument(data: dict[str, Any]) -> None:
    rules = compile_inputs(CONTRACT)
    before = copy.deepcopy(data)
    prepared, problems = rules.prepare(data)
    assert data == before
    plain = {name: value for name, value in prepared.items() if "_#_" not in name}
    plain = {name: value for name, value in plain.items() if "_$_" not in name}
    again, same_problems = rules.prepare(plain)
    assert again is plain
    assert same_problems == problems
