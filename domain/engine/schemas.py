"""What is still to check of a value that has its declared type, and the inputs of one node."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from domain.contracts import BlockContract, BlockKind
from domain.engine.coercion import ANYTHING, Convert, Fits, compile_rule
from domain.engine.json_schema import Schema, normalise
from domain.engine.pins import PinError, merge_dynamic

Check = Callable[[Any], str | None]
"""A short message about what is wrong with a value, to be read after its name; None if nothing."""

Holds = Callable[[Any, Any], bool]

REQUIRED = "This field is required"

_BOUNDS: dict[str, tuple[Holds, str]] = {
    "minimum": (operator.ge, "at least"),
    "maximum": (operator.le, "at most"),
    "exclusiveMinimum": (operator.gt, "more than"),
    "exclusiveMaximum": (operator.lt, "less than"),
}
_SIZES: dict[str, tuple[str, Holds, str, str]] = {
    "minLength": ("string", operator.ge, "at least", "character"),
    "maxLength": ("string", operator.le, "at most", "character"),
    "minItems": ("array", operator.ge, "at least", "item"),
    "maxItems": ("array", operator.le, "at most", "item"),
    "minProperties": ("object", operator.ge, "at least", "key"),
    "maxProperties": ("object", operator.le, "at most", "key"),
}


class Known:
    """What was made of the value at a pin, for as long as the same value is there again."""

    __slots__ = ("_last", "_pins")

    def __init__(self, pins: Collection[str]) -> None:
        self._pins = frozenset(pins)
        self._last: dict[tuple[str, Any], tuple[Any, Any]] = {}

    def of(self, pin: str, value: Any, make: Callable[[Any], Any]) -> Any:
        """`make(value)`, which depends on nothing else."""
        if pin not in self._pins:
            return make(value)
        last = self._last.get((pin, make))
        if last is None or last[0] is not value:
            last = self._last[pin, make] = value, make(value)
        return last[1]

    @property
    def values(self) -> list[Any]:
        return [kept for pair in self._last.values() for kept in pair]


class InputRules:
    """The rules of a block's inputs, or of some of them, compiled."""

    __slots__ = ("_checks", "_conversions", "_required", "looked_at")

    def __init__(
        self,
        conversions: tuple[tuple[str, Convert], ...],
        required: tuple[str, ...],
        checks: tuple[tuple[str, Check], ...],
    ) -> None:
        self._conversions = conversions
        self._required = required
        self._checks = checks
        self.looked_at = frozenset(name for name, _ in (*conversions, *checks))
        """Pins whose values decide what `prepare` returns; of others it only matters whether they
        are there."""

    def of_pins(self, is_meant: Callable[[str], bool]) -> InputRules:
        """The rules of some of the pins."""
        return InputRules(
            tuple(pair for pair in self._conversions if is_meant(pair[0])),
            tuple(name for name in self._required if is_meant(name)),
            tuple(pair for pair in self._checks if is_meant(pair[0])),
        )

    def prepare(self, data: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Merge, convert and check the inputs of one node execution, defaults included.

        Returns the inputs as the block's node shows them, and what is wrong with them as pairs of
        pin and message; no pair means ready. `data` is not changed, and is returned itself when
        nothing had to be. A null is an absent value: it is neither converted nor checked, and
        satisfies no requirement.
        """
        try:
            merged = merge_dynamic(data)
        except PinError as error:
            return data, [(error.pin, str(error))]
        return self.finish(merged)

    def finish(
        self, data: dict[str, Any], known: Known | None = None
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """As `prepare`, of what is merged already."""
        finished = data
        for name, convert in self._conversions:
            value = finished.get(name)
            if value is None:
                continue
            converted = convert(value) if known is None else known.of(name, value, convert)
            if converted is not value:
                if finished is data:
                    finished = dict(data)
                finished[name] = converted
        problems = [(name, REQUIRED) for name in self._required if finished.get(name) is None]
        for name, check in self._checks:
            value = finished.get(name)
            if value is None:
                continue
            message = check(value) if known is None else known.of(name, value, check)
            if message is not None:
                problems.append((name, message))
        return finished, problems


def compile_inputs(contract: BlockContract) -> InputRules:
    """The rules of a block's inputs. Those of an agent are left to its own run (4.10)."""
    if contract.kind is BlockKind.AGENT:
        return InputRules((), (), ())
    schemas = {name: normalise(schema) for name, schema in contract.inputs.items()}
    rules = {name: compile_rule(schema) for name, schema in schemas.items()}
    checks = {name: _compiled(schema) for name, schema in schemas.items()}
    return InputRules(
        tuple((name, rule.convert) for name, rule in rules.items() if rule is not ANYTHING),
        contract.required,
        tuple((name, check) for name, check in checks.items() if check is not None),
    )


def compile_outputs(contract: BlockContract) -> Mapping[str, Check]:
    """What may leave each output pin: only a STANDARD block is held to its word (4.8, N2)."""
    if contract.kind is not BlockKind.STANDARD:
        return {}
    return {name: _promised(normalise(schema)) for name, schema in contract.outputs.items()}


def _promised(schema: Schema) -> Check:
    check = _compiled(schema)
    if compile_rule(schema) is ANYTHING:
        return check or _nothing_wrong
    typed = _typed(schema, f"is not {schema.get('type') or 'what the block declares'}")
    return typed if check is None else _all([typed, check])


def compile_check(schema: Schema) -> Check:
    """The check of a value that `compile_coercion(schema)` gave."""
    return _compiled(normalise(schema)) or _nothing_wrong


def _nothing_wrong(_: Any) -> str | None:
    return None


def _compiled(schema: Schema) -> Check | None:
    """None when coercion leaves nothing to check."""
    checks = [*_choice(schema), *_bounds(schema), *_sizes(schema), *_nested(schema)]
    if "enum" in schema:
        members = ", ".join(msgspec.json.encode(member).decode() for member in schema["enum"])
        checks.insert(0, _typed(schema, f"must be one of {members}"))
    elif schema.get("type") == "null":
        checks.append(_typed(schema, "must be null"))
    if "pattern" in schema:
        checks.append(_pattern(schema["pattern"]))
    if len(checks) > 1:
        return _all(checks)
    return checks[0] if checks else None


def _all(checks: list[Check]) -> Check:
    def check(value: Any) -> str | None:
        messages = (part(value) for part in checks)
        return next((message for message in messages if message is not None), None)

    return check


def _typed(schema: Schema, message: str) -> Check:
    fits = compile_rule(schema).fits
    return lambda value: None if fits(value) else message


def _choice(schema: Schema) -> Iterator[Check]:
    members = schema.get("anyOf", [])
    solid = [member for member in members if member.get("type") != "null"]
    options = [(compile_rule(member).fits, _compiled(member)) for member in solid]
    if members and not options:
        yield _typed(schema, "must be null")
    elif any(check is not None for _, check in options):
        check = _either(options)
        yield check if len(solid) == len(members) else _unless_null(check)


def _unless_null(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _either(options: list[tuple[Fits, Check | None]]) -> Check:
    """At least one of `options` has a check. An only option explains itself."""
    if len(options) == 1 and options[0][1] is not None:
        return options[0][1]

    def check(value: Any) -> str | None:
        message = "has none of the declared types"
        for fits, part in options:
            if fits(value):
                found = None if part is None else part(value)
                if found is None:
                    return None
                message = found
        return message

    return check


def _bounds(schema: Schema) -> Iterator[Check]:
    if schema.get("type") not in {"integer", "number"}:
        return
    for keyword, (holds, words) in _BOUNDS.items():
        if keyword in schema:
            yield _bound(holds, schema[keyword], f"must be {words} {schema[keyword]}")


def _bound(holds: Holds, bound: float, message: str) -> Check:
    def check(value: Any) -> str | None:
        # A number that is not finite comes as its text, which float reads; NaN is within nothing.
        number = float(value) if type(value) is str else value
        return None if holds(number, bound) else message

    return check


def _sizes(schema: Schema) -> Iterator[Check]:
    for keyword, (kind, holds, words, unit) in _SIZES.items():
        if keyword in schema and schema.get("type") == kind:
            bound = schema[keyword]
            plural = "" if bound == 1 else "s"
            yield _size(holds, bound, f"must have {words} {bound} {unit}{plural}")


def _size(holds: Holds, bound: int, message: str) -> Check:
    return lambda value: None if holds(len(value), bound) else message


def _pattern(pattern: str) -> Check:
    search = re.compile(pattern).search
    return lambda value: None if search(value) else f"must match {pattern}"


def _nested(schema: Schema) -> Iterator[Check]:
    items, entries = schema.get("items"), schema.get("additionalProperties")
    if isinstance(items, dict) and (each := _compiled(items)):
        yield _members(enumerate, each)
    if isinstance(entries, dict) and (each := _compiled(entries)):
        yield _members(dict.items, each)


def _members(pairs: Callable[[Any], Iterable[tuple[Any, Any]]], each: Check) -> Check:
    def check(value: Any) -> str | None:
        for place, member in pairs(value):
            message = each(member)
            if message is not None:
                return f"[{place!r}] {message}"
        return None

    return check
