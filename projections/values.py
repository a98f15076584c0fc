"""The values in one answer: as JSON, and the largest by reference, to be fetched alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from domain.large_values import Large, LargeValue
from domain.limits import value_limits
from projections.runs.values import large_in
from runtime.eventlog.values import ValueStore

REFERENCE_BYTES = 256
"""What a reference counts in an answer, with the size that is told of its value."""
MEMORABLE_BYTES = 4 * 1024
"""What is smaller is encoded as quickly as it is found again."""

_encode = msgspec.json.Encoder().encode


def reference(hash: str) -> msgspec.Raw:  # noqa: A002 - the word for it
    """JSON that stands for the value of this hash."""
    return msgspec.Raw(_encode(LargeValue(hash)))


class Values:
    """Those of one owner in one answer. None is encoded, measured or read twice for it."""

    def __init__(self, store: ValueStore, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._encoded: dict[int, tuple[Any, msgspec.Raw]] = {}
        """By identity, each with its value, so that no other takes its place."""
        self._sizes: dict[str, int] = {}
        self._raw: dict[str, msgspec.Raw] = {}
        self._decoded: dict[str, Any] = {}
        self.referred: dict[str, int] = {}
        """Sizes of the values for which references stand in the answer, by hash."""

    def light(self, value: Any) -> msgspec.Raw | Large:
        """JSON of a value that is here."""
        if type(value) is Large:
            return value
        if self._encoded and (known := self._encoded.get(id(value))) is not None:
            return known[1]
        raw = msgspec.Raw(_encode(value))
        if len(raw) > MEMORABLE_BYTES:
            self._encoded[id(value)] = (value, raw)
        return raw

    async def measure(self, hashes: Collection[str]) -> None:
        """Learn how large these are, as `size` and `is_referred` must know. Raises ValueMissing."""
        unknown = [key for key in hashes if key not in self._sizes]
        self._sizes.update(await self._store.sizes(self._owner, unknown))

    def size(self, value: msgspec.Raw | Large) -> int:
        """How many bytes it has in the answer."""
        if type(value) is not Large:
            return len(value)
        return REFERENCE_BYTES if self.is_referred(value) else self._sizes[value.hash]

    def is_referred(self, value: Large) -> bool:
        """Whether a reference stands for it."""
        return self._sizes[value.hash] > value_limits.VALUE_SHOWN_BYTES_MAX

    async def read(self, values: Iterable[Any]) -> None:
        """Have those ready that are large. Raises ValueMissing and ValueDamaged."""
        await self.measure(hashes := large_in(values))
        for key in hashes:
            if self._sizes[key] > value_limits.VALUE_SHOWN_BYTES_MAX:
                self.referred[key] = self._sizes[key]
                self._raw.setdefault(key, reference(key))
        unread = [key for key in hashes if key not in self._raw]
        found = await self._store.get(self._owner, unread)
        self._raw.update((key, msgspec.Raw(value)) for key, value in found.items())

    def shown(self, value: msgspec.Raw | Large) -> msgspec.Raw:
        """What the answer has in its place, once it was read."""
        return self._raw[value.hash] if type(value) is Large else value

    def whole(self, value: Large) -> Any:
        """What it is, once it was read; of those for which no reference stands."""
        if value.hash not in self._decoded:
            self._decoded[value.hash] = msgspec.json.decode(self._raw[value.hash])
        return self._decoded[value.hash]
