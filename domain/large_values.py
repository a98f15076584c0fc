"""Large values, which events and answers name by their content hash instead of carrying them.

An event says where such a value belongs: `large` has its hash by index of an output, or by name of
an input, and the value itself is null there. Nothing in a value can be mistaken for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, final

import msgspec

from domain.events import Event
from domain.limits import value_limits
from domain.runs import (
    NodeCompleted,
    NodeFailed,
    Output,
    ReviewRequested,
    RunCompleted,
    RunCreated,
)

Place = TypeVar("Place", int, str)


@final
class Large:
    """Stands for a value that was not read because nothing depends on what it is.

    No struct, so that nothing takes it for a value and encodes it by itself.
    """

    __slots__ = ("hash",)

    def __init__(self, hash: str) -> None:  # noqa: A002 - the word for it
        self.hash = hash


class LargeValue(msgspec.Struct, frozen=True):
    """Stands for a value that is fetched alone, by the SHA-256 of its JSON in hexadecimal.

    An object in an answer is one if the answer's `large_values` has its hash: those have the sizes.
    """

    large_value: str


def hash_of(encoded: bytes) -> str:
    """The name of a value: SHA-256 of its JSON, in hex."""
    return hashlib.sha256(encoded).hexdigest()


def take_out(
    values: Iterable[tuple[Place, Any]],
) -> tuple[dict[Place, str], dict[str, bytes]]:
    """Which of the values at these places are large: hashes by place, and JSON by hash."""
    hashes: dict[Place, str] = {}
    taken: dict[str, bytes] = {}
    for place, value in values:
        encoded = msgspec.json.encode(value)
        if len(encoded) > value_limits.VALUE_INLINE_BYTES_MAX:
            hashes[place] = hash_of(encoded)
            taken[hashes[place]] = encoded
    return hashes, taken


def without(outputs: Iterable[Output], large: Mapping[int, str]) -> list[Output]:
    """The outputs with nulls where values were taken out."""
    return [
        (name, None if index in large else value) for index, (name, value) in enumerate(outputs)
    ]


def hashes_in(happened: Event) -> Iterable[str]:
    """The hashes that an event names."""
    if isinstance(happened, ReviewRequested):
        return () if happened.large is None else (happened.large,)
    large = getattr(happened, "large", None)
    return large.values() if large else ()


def put_back(happened: Event, values: Mapping[str, Any]) -> Event:
    """The event with its large values in their places, or what `values` has for them by hash."""
    match happened:
        case RunCreated(large=large) if large:
            inputs = {**happened.inputs, **{name: values[key] for name, key in large.items()}}
            return msgspec.structs.replace(happened, inputs=inputs)
        case NodeCompleted(large=large) | NodeFailed(large=large) if large:
            outputs = _filled(happened.outputs, large, values)
            return msgspec.structs.replace(happened, outputs=outputs)
        case ReviewRequested(large=str(key)):
            return msgspec.structs.replace(happened, data=values[key])
        case RunCompleted(large=large) if large:
            returned = _filled(happened.returned, large, values)
            return msgspec.structs.replace(happened, returned=returned)
    return happened


def _filled(
    outputs: Iterable[Output], large: Mapping[int, str], values: Mapping[str, Any]
) -> list[Output]:
    return [
        (name, values[large[index]] if index in large else value)
        for index, (name, value) in enumerate(outputs)
    ]
