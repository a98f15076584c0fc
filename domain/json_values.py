"""The JSON values that Evergraph admits: bounded in depth, finite, storable as jsonb."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from domain.errors import Invalid
from domain.limits import memory_limits, value_limits

NON_FINITE_TEXTS = frozenset({"NaN", "Infinity", "-Infinity"})
"""What stands for a number that JSON cannot write; a number pin may carry exactly these texts."""


PLACE_BYTES = 100
"""What a value takes in memory beside its text, with its place in what holds it: a list, an object
or a short text of a few bytes of JSON takes 50 to 200 of them."""


def weight(encoded: bytes) -> int:
    """About how many bytes a JSON text takes when it has been decoded, and hardly ever fewer."""
    # One character beyond the first 65,536 makes all of its text four bytes wide.
    width = 1 if encoded.isascii() else 4
    return width * len(encoded) + PLACE_BYTES * _signs(encoded)


def places(encoded: bytes) -> int:
    """How many values a JSON text has at the most, without decoding it: each stands behind a comma
    or an opening bracket outside of texts.
    """
    return _signs(_marks(encoded))


def _signs(encoded: bytes) -> int:
    """How many commas and opening brackets there are."""
    return encoded.count(b",") + encoded.count(b"[") + encoded.count(b"{")


def has_repeats(encoded: bytes, value: Any) -> bool:
    """Whether an object of a JSON text has two members of one name, of which its decoded `value`
    has the last and does not tell.
    """
    kept = msgspec.json.encode(value)
    # Each member has a colon. Those in texts are as many in both, unless written by code.
    if encoded.count(b":") == kept.count(b":") and b"\\u003" not in encoded:
        return False
    return _marks(encoded).count(b":") > _marks(kept).count(b":")


_OTHER_BYTES = bytes(set(range(256)) - set(b'",:[{'))


def _marks(encoded: bytes) -> bytes:
    """The commas, colons and opening brackets of a JSON text that stand outside of its texts."""
    bare = encoded.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _OTHER_BYTES)
    # Most texts have no marks. Without these pairs of quotes the others still are in pairs.
    return b"".join(bare.replace(b'""', b"").split(b'"')[::2])


def is_crowded(encoded: bytes, most: int) -> bool:
    """Whether a JSON text may have more values than `most`, as `places` counts them."""
    if most >= len(encoded) or most >= _signs(encoded):
        return False
    return places(encoded) > most


def read_text(text: str) -> Any:
    """The value of which a text is the JSON.

    Raises msgspec.DecodeError, RecursionError, and Invalid for what is no admissible value, or
    would take far more memory than the text.
    """
    most = memory_limits.TEXT_VALUES_MAX
    if len(text) > most and is_crowded(text.encode(), most):
        raise Invalid(f"a text is read as JSON of at most {most} values")
    value = msgspec.json.decode(text)
    check_json(value, "text")
    return value


def finite_or_text(number: float) -> float | str:
    """`number` itself when it is finite, otherwise its text of NON_FINITE_TEXTS."""
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def check_text(text: str, where: str) -> None:
    """Refuse what PostgreSQL cannot store. Raises Invalid, naming `where`."""
    if "\x00" in text:
        raise Invalid(f"{where} must not contain the character U+0000")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(f"{where} must not contain half of a surrogate pair") from None


def check_json(value: Any, where: str) -> None:
    """Refuse what is not JSON or breaks a bound of `limits`. Raises Invalid, naming `where`.

    Works level by level, so that a deep value cannot exhaust the stack. A value is as deep as its
    containers are nested: a scalar 0, `[]` 1, `{"a": []}` 2.
    """
    level: list[Any] = [value]
    depth = 0
    while level:
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict or kind is list:
                if depth == value_limits.JSON_DEPTH_MAX:
                    raise Invalid(f"{where} is nested deeper than {depth} levels")
                below.extend(_members(item, where))
            elif kind is str:
                check_text(item, where)
            elif item is not None and kind is not bool:
                _check_number(item, where)
        level = below
        depth += 1


def _members(container: Any, where: str) -> Any:
    if type(container) is list:
        return container
    for key in container:
        if type(key) is not str:
            raise Invalid(f"{where} must be JSON: the keys of an object are text")
        check_text(key, where)
    return container.values()


def _check_number(value: Any, where: str) -> None:
    if type(value) is int:
        if not -value_limits.JSON_INTEGER_MAX <= value <= value_limits.JSON_INTEGER_MAX:
            raise Invalid(f"{where} must not contain a whole number beyond 2^63 - 1")
    elif type(value) is not float:
        raise Invalid(f"{where} must be JSON: {type(value).__name__} is not")
    elif not math.isfinite(value):
        raise Invalid(f"{where} must not contain a number that is not finite")
