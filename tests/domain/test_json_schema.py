from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest

from domain.engine.json_schema import normalise


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Point(msgspec.Struct):
    colour: Colour
    weight: float | None = None


class Tree(msgspec.Struct):
    label: str
    children: list[Tree]


COLOUR = {"title": "Colour", "enum": ["blue", "red"]}


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (Colour, COLOUR),
        (Colour | None, {"anyOf": [COLOUR, {"type": "null"}]}),
        (list[Colour], {"type": "array", "items": COLOUR}),
        (dict[str, Colour], {"type": "object", "additionalProperties": COLOUR}),
        (
            Annotated[Colour, msgspec.Meta(title="Paint", description="Which")],
            {**COLOUR, "title": "Paint", "description": "Which"},
        ),
        (
            Point,
            {
                "title": "Point",
                "type": "object",
                "properties": {
                    "colour": COLOUR,
                    "weight": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
                },
                "required": ["colour"],
            },
        ),
        (
            Tree,
            {
                "title": "Tree",
                "type": "object",
                "properties": {
                    "label": {"type": "string"},
                    "children": {"type": "array", "items": {}},
                },
                "required": ["label", "children"],
            },
        ),
    ],
)
def test_the_schemas_of_python_types(declared: Any, expected: dict[str, Any]) -> None:
    assert normalise(msgspec.json.schema(declared)) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {}),
        ({"const": 5}, {"enum": [5]}),
        (
            {"type": ["integer", "null"], "minimum": 1, "title": "Count", "default": None},
            {
                "title": "Count",
                "default": None,
                "anyOf": [
                    {"type": "integer", "minimum": 1},
                    {"type": "null", "minimum": 1},
                ],
            },
        ),
        ({"type": "object", "additionalProperties": False}, None),
        ({"default": {"$ref": "not a schema"}}, None),
        (
            {"type": "array", "prefixItems": [{"const": 1}]},
            {"type": "array", "prefixItems": [{"enum": [1]}]},
        ),
    ],
)
def test_other_forms(schema: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert normalise(schema) == (schema if expected is None else expected)


def test_a_reference_to_nothing_is_an_error() -> None:
    with pytest.raises(KeyError):
        normalise({"$ref": "#/$defs/Gone"})
