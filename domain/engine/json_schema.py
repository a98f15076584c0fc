"""The JSON Schemas of pins, brought to the one form that the compilers of this package read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

_REFERENCE = "#/$defs/"
_SHARED = frozenset(
    {"title", "description", "default", "examples", "advanced", "secret", "placeholder"}
)
"""Keywords about a whole choice rather than about each of its members."""


def normalise(schema: Schema) -> dict[str, Any]:
    """`schema` without `$ref` and `$defs`, with `anyOf` for a list of types, `enum` for `const`.

    A definition inside itself becomes any value. Raises KeyError for a reference to nothing.
    """
    return _normal(schema, schema.get("$defs", {}), ())


def _normal(schema: Schema, definitions: Schema, within: tuple[str, ...]) -> dict[str, Any]:
    normal = {key: value for key, value in schema.items() if key not in {"$defs", "$ref"}}
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        if name in within:
            return normal
        return _normal({**definitions[name], **normal}, definitions, (*within, name))
    if "const" in normal:
        normal["enum"] = [normal.pop("const")]
    if isinstance(normal.get("type"), list):
        normal = _choice(normal)
    for keyword in ("items", "additionalProperties"):
        if isinstance(normal.get(keyword), dict):
            normal[keyword] = _normal(normal[keyword], definitions, within)
    for keyword in ("anyOf", "prefixItems"):
        if keyword in normal:
            members = normal[keyword]
            normal[keyword] = [_normal(member, definitions, within) for member in members]
    if "properties" in normal:
        normal["properties"] = {
            name: _normal(member, definitions, within)
            for name, member in normal["properties"].items()
        }
    return normal


def _choice(schema: dict[str, Any]) -> dict[str, Any]:
    shared = {key: value for key, value in schema.items() if key in _SHARED}
    member = {key: value for key, value in schema.items() if key not in _SHARED}
    return {**shared, "anyOf": [{**member, "type": kind} for kind in schema["type"]]}
