"""Bytes that wait for peers to read them: bounded in all, and shared by users."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from weakref import WeakValueDictionary

from domain.errors import Unavailable
from domain.limits import memory_limits

FULL = "Too much that was answered before has still to be read."


class Backlog:
    """At most `size` bytes. A user gets no more of them than are left for all others (dynamic
    thresholds). So one user alone gets half of them, and some are left for whoever comes next.
    """

    def __init__(self, size: int) -> None:
        self.left = size
        # A share is there for as long as somebody has it in hand.
        self._shares: WeakValueDictionary[str, Share] = WeakValueDictionary()

    def share(self, user_id: str) -> Share:
        share = self._shares.get(user_id)
        if share is None:
            share = self._shares[user_id] = Share(self, user_id)
        return share


class Share:
    """One user's part of it."""

    def __init__(self, backlog: Backlog, user_id: str) -> None:
        self.user_id = user_id
        self._backlog = backlog
        self._held = 0
        self._eased = asyncio.Event()

    def has_room(self, size: int = 0) -> bool:
        """Whether the user may have so much more. Who has nothing yet may have all that is left."""
        left = self._backlog.left - size
        return (self._held + size if self._held else 0) <= left

    def put(self, size: int) -> None:
        """Count so much more, whether there is room or not."""
        self._held += size
        self._backlog.left -= size

    def take(self, size: int) -> None:
        """Count so much less: the peer has read it, or was given up."""
        self._held -= size
        self._backlog.left += size
        self._eased.set()

    async def room(self, size: int) -> None:
        """Wait until the user may have so much more. Raises Unavailable after ROOM_SECONDS_MAX."""
        try:
            async with asyncio.timeout(memory_limits.ROOM_SECONDS_MAX):
                while not self.has_room(size):
                    await self._look()
        except TimeoutError:
            raise Unavailable(FULL) from None

    async def _look(self) -> None:
        """Wait until the user has less, or look again: others may have less meanwhile."""
        self._eased.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(memory_limits.ROOM_LOOK_SECONDS):
                await self._eased.wait()
