"""The large values of a run's events, read in their order and few at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from domain import large_values
from domain.events import Event
from domain.large_values import Large
from domain.limits import value_limits
from runtime.eventlog.values import ValueStore


class RunValues:
    """Puts large values back into events, one event after the other."""

    def __init__(self, store: ValueStore, owner: str, ahead: Iterable[Event] = ()) -> None:
        """All values of the events `ahead` will be wanted, so some are read with those before."""
        self._store = store
        self._owner = owner
        self._ahead = deque(key for event in ahead for key in large_values.hashes_in(event))
        self._sizes: dict[str, int] = {}
        self._encoded: dict[str, bytes] = {}
        self._decoded: dict[str, Any] = {}
        """Those of the last event with any: many events in a row may name the same."""

    async def put_back(self, happened: Event, wanted: AbstractSet[str]) -> Event:
        """The event with these of its values in place, and with `Large` for the others."""
        named = list(large_values.hashes_in(happened))
        if not named:
            return happened
        for _ in range(min(len(named), len(self._ahead))):
            self._ahead.popleft()
        if wanted:
            await self._read(wanted)
        values = {key: self._decoded[key] if key in wanted else Large(key) for key in named}
        return large_values.put_back(happened, values)

    async def _read(self, wanted: AbstractSet[str]) -> None:
        self._decoded = {key: v for key, v in self._decoded.items() if key in wanted}
        lacking = wanted - self._decoded.keys()
        if not lacking <= self._encoded.keys():
            self._encoded = {}
            self._encoded = await self._store.get(self._owner, await self._with_next(lacking))
        self._decoded |= {key: msgspec.json.decode(self._encoded[key]) for key in lacking}

    async def _with_next(self, wanted: AbstractSet[str]) -> set[str]:
        """These, and of those ahead as many as one statement should carry."""
        chosen = set(wanted)
        if not self._ahead:
            return chosen
        if not self._sizes:
            self._sizes = await self._store.sizes(self._owner, wanted | set(self._ahead))
        size = sum(self._sizes[key] for key in chosen)
        for key in self._ahead:
            if size >= value_limits.VALUE_STATEMENT_BYTES:
                break
            if key not in chosen:
                chosen.add(key)
                size += self._sizes[key]
        return chosen
