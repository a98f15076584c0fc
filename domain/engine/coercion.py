"""Values turned into the type that a pin declares, in the contract's lenient way.

| declared | what becomes of a value of another type |
|---|---|
| string | its JSON text |
| integer, number | the size of a list or object, otherwise the number it reads as, otherwise 0 |
| boolean | text: whether it is `true` or `1` in any case; others: whether they are not empty or 0 |
| array | an object's pairs, the list that a text `[…]` holds, otherwise a list of the one value |
| object | a text's object, a list by index, otherwise `{"value": …}` |
| anyOf | the first member that converts without falling back to 0 |
| enum | the member that it converts to |

A text that holds more than TEXT_VALUES_MAX values stays a text.

What a type cannot express stays as it is and is left to `schemas.compile_check`: a value outside
its enum, and anything where only null is declared.

JSON has no number that is not finite. A number pin carries one as its text, exactly `NaN`,
`Infinity` or `-Infinity`; whatever reads as such a number (`"inf"`, `"1e999"`) becomes that text.
Converted with `msgspec.convert(…, strict=False)` the texts are floats again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import is_
from typing import Any, NamedTuple

import msgspec

from domain.engine.json_schema import Schema, normalise
from domain.errors import Invalid
from domain.json_values import NON_FINITE_TEXTS, finite_or_text, read_text
from domain.limits import value_limits

Convert = Callable[[Any], Any]
Fits = Callable[[Any], bool]

_encode = msgspec.json.Encoder().encode


class Rule(NamedTuple):
    """One declared type. `convert` gives the value itself when it fits."""

    fits: Fits
    convert: Convert
    attempt: Convert
    """Like `convert`, but None where that would give a fallback or a value that does not fit."""


def compile_coercion(schema: Schema) -> Convert:
    """The conversion to `schema`. It never fails, never changes its argument, is idempotent."""
    return compile_rule(normalise(schema)).convert


def compile_fit(schema: Schema) -> Fits:
    """Whether a value is of the declared type already, bounds apart."""
    return compile_rule(normalise(schema)).fits


def compile_rule(schema: Schema) -> Rule:
    """The rule of a schema as `normalise` gives it."""
    if "enum" in schema:
        return _enum(schema)
    if "anyOf" in schema:
        return _any_of([compile_rule(member) for member in schema["anyOf"]])
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        return _array(compile_rule(items) if isinstance(items, dict) else ANYTHING)
    if kind == "object":
        values = schema.get("additionalProperties")
        return _object(compile_rule(values) if isinstance(values, dict) else ANYTHING)
    return _SCALARS.get(kind, ANYTHING)


def _string(value: Any) -> Any:
    return value if type(value) is str else _encode(value).decode()


def _boolean(value: Any) -> Any:
    if type(value) is str:
        return value.lower() in {"true", "1"}
    return bool(value)


def _fits_number(value: Any) -> bool:
    kind = type(value)
    if kind is float:
        return math.isfinite(value)
    return kind is int or (kind is str and value in NON_FINITE_TEXTS)


def _attempt_number(value: Any) -> Any:
    if _fits_number(value):
        return value
    if type(value) is list or type(value) is dict:
        return len(value)
    try:
        return finite_or_text(float(value))
    except (TypeError, ValueError):
        return None


def _number(value: Any) -> Any:
    kind = type(value)
    if kind is int or (kind is float and math.isfinite(value)):
        return value
    converted = _attempt_number(value)
    return 0 if converted is None else converted


def _attempt_integer(value: Any) -> Any:
    if type(value) is list or type(value) is dict:
        return len(value)
    try:
        whole = _whole(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return (
        whole if -value_limits.JSON_INTEGER_MAX <= whole <= value_limits.JSON_INTEGER_MAX else None
    )


def _whole(value: Any) -> int:
    try:
        # Through a float, a long text of digits would become another number.
        return int(value)
    except ValueError:
        return int(float(value))


def _integer(value: Any) -> Any:
    if type(value) is int:
        return value
    converted = _attempt_integer(value)
    return 0 if converted is None else converted


_UNREADABLE = (msgspec.MsgspecError, RecursionError, Invalid)


def _list(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return value
    if kind is dict:
        return [[key, item] for key, item in value.items()]
    if kind is str and value.strip()[:1] == "[" and value.strip()[-1:] == "]":
        try:
            return read_text(value)
        except _UNREADABLE:
            return [value]
    return [value]


def _dict(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return value
    if kind is list:
        return {str(index): item for index, item in enumerate(value)}
    if kind is str:
        try:
            read = read_text(value)
        except _UNREADABLE:
            return {"value": value}
        return read if type(read) is dict else {"value": read}
    return {"value": value}


def _fitting(fits: Fits, convert: Convert) -> Rule:
    def attempt(value: Any) -> Any:
        converted = convert(value)
        return converted if fits(converted) else None

    return Rule(fits, convert, attempt)


STRING = _fitting(lambda value: type(value) is str, _string)
BOOLEAN = _fitting(lambda value: type(value) is bool, _boolean)
INTEGER = Rule(lambda value: type(value) is int, _integer, _attempt_integer)
NUMBER = Rule(_fits_number, _number, _attempt_number)
NULL = _fitting(lambda value: value is None, lambda value: value)
ANYTHING = _fitting(lambda _: True, lambda value: value)

_SCALARS: dict[str | None, Rule] = {
    "string": STRING,
    "boolean": BOOLEAN,
    "integer": INTEGER,
    "number": NUMBER,
    "null": NULL,
}


def _array(items: Rule) -> Rule:
    if items is ANYTHING:
        return _fitting(lambda value: type(value) is list, _list)

    def convert(value: Any) -> Any:
        present = _list(value)
        converted = list(map(items.convert, present))
        return present if all(map(is_, converted, present)) else converted

    return _fitting(lambda value: type(value) is list and all(map(items.fits, value)), convert)


def _object(values: Rule) -> Rule:
    if values is ANYTHING:
        return _fitting(lambda value: type(value) is dict, _dict)

    def convert(value: Any) -> Any:
        present = _dict(value)
        converted = list(map(values.convert, present.values()))
        if all(map(is_, converted, present.values())):
            return present
        return dict(zip(present, converted, strict=True))

    def fits(value: Any) -> bool:
        return type(value) is dict and all(map(values.fits, value.values()))

    return _fitting(fits, convert)


def _enum(schema: Schema) -> Rule:
    members = schema["enum"]
    kinds = {type(member) for member in members if member is not None}
    base = _ENUM_BASES.get(frozenset(kinds), ANYTHING)

    fits = _one_of(members)

    def attempt(value: Any) -> Any:
        if fits(value):
            return value
        converted = base.attempt(value)
        is_flag = type(converted) is bool
        same = (m for m in members if m == converted and (type(m) is bool) is is_flag)
        return next(same, None)

    def convert(value: Any) -> Any:
        if fits(value):
            return value
        converted = attempt(value)
        return value if converted is None else converted

    return Rule(fits, convert, attempt)


_ENUM_BASES = {
    frozenset({str}): STRING,
    frozenset({int}): INTEGER,
    frozenset({float}): NUMBER,
    frozenset({int, float}): NUMBER,
}


def _one_of(members: list[Any]) -> Fits:
    if all(type(member) is str for member in members):
        texts = frozenset(members)
        return lambda value: type(value) is str and value in texts
    return lambda value: any(type(value) is type(member) and value == member for member in members)


def _any_of(members: list[Rule]) -> Rule:
    solid = [member for member in members if member is not NULL]
    if len(solid) == 1:
        return solid[0] if len(members) == 1 else _optional(solid[0])

    def fits(value: Any) -> bool:
        return any(member.fits(value) for member in members)

    def attempt(value: Any) -> Any:
        attempts = (member.attempt(value) for member in solid)
        return next((converted for converted in attempts if converted is not None), None)

    def convert(value: Any) -> Any:
        if fits(value):
            return value
        converted = attempt(value)
        if converted is not None:
            return converted
        fallbacks = (member.convert(value) for member in solid)
        return next((fallback for fallback in fallbacks if fits(fallback)), value)

    return Rule(fits, convert, attempt)


def _optional(rule: Rule) -> Rule:
    def fits(value: Any) -> bool:
        return value is None or rule.fits(value)

    def convert(value: Any) -> Any:
        return None if value is None else rule.convert(value)

    return Rule(fits, convert, rule.attempt)
