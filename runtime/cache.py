"""A dictionary that forgets what was not used for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """At most `size` entries, which weigh at most `weight_max` bytes in all.

    Without `weight_max` the entries are so small that their number is bound enough.
    """

    def __init__(self, size: int, weight_max: int | None = None) -> None:
        self._size = size
        self._weight_max = weight_max
        self._weight = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, weight: int = 0) -> list[V]:
        """Keep the value, unless it alone weighs more than all may; returns what is not kept."""
        self.drop(key)
        if self._weight_max is not None and weight > self._weight_max:
            return [value]
        self._entries[key] = (value, weight)
        self._weight += weight
        gone = []
        while self._is_full:
            _, (oldest, left) = self._entries.popitem(last=False)
            self._weight -= left
            gone.append(oldest)
        return gone

    def drop(self, key: K) -> None:
        """Forget the key, if it is there."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._weight -= entry[1]

    def drop_all(self, which: Callable[[V], bool]) -> list[V]:
        """Forget all values that are so, and return them."""
        keys = [key for key, (value, _) in self._entries.items() if which(value)]
        values = [self._entries[key][0] for key in keys]
        for key in keys:
            self.drop(key)
        return values

    @property
    def _is_full(self) -> bool:
        if len(self._entries) > self._size:
            return True
        return self._weight_max is not None and self._weight > self._weight_max
