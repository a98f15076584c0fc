"""One after the other: who has lost a race waits for a turn instead of racing again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from domain.errors import Unavailable
from domain.limits import log_limits


class KeyedLock:
    """Queues by name, each there as long as somebody stands in it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def is_awaited(self, name: str) -> bool:
        """Whether somebody has the turn or waits for it."""
        return name in self._locks

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Wait for the turn and have it.

        Raises Unavailable when it does not come in time: whoever has it waits for the database.
        """
        lock = self._locks.setdefault(name, asyncio.Lock())
        try:
            async with asyncio.timeout(log_limits.LOCK_SECONDS_MAX):
                await lock.acquire()
        except TimeoutError:
            raise Unavailable("Too many changes are waiting; please repeat the request.") from None
        try:
            yield
        finally:
            lock.release()
