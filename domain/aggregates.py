"""What an aggregate is: a kind of stream, and how its state follows from its events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from domain.events import Event

S = TypeVar("S")


class Aggregate(msgspec.Struct, Generic[S], frozen=True):
    """One kind of stream. `initial` is its state before the first event.

    `noun` is what people call one of them, `owner` whose it is; both are needed only where one is
    asked for by an id that anybody may guess.
    """

    name: str
    initial: S
    evolve: Callable[[S, Event], S]
    noun: str = ""
    owner: Callable[[Any], str] | None = None

    def stream_of(self, key: str) -> str:
        return f"{self.name}-{key}"
