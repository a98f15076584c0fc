"""Room in memory that users share, by weight."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Collection
from contextlib import suppress
from itertools import count

from domain import memory_limits
from domain.errors import Unavailable
from runtime.fairness import FairQueue

FULL = "Too much is in memory at this moment."


class Room:
    """So many bytes, for what is in memory for all users at once. They take turns at the door.

    Whoever wants more than all of them has it when nobody else has anything.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._door = FairQueue(1)
        self._left = asyncio.Event()

    async def enter(self, user_id: str, weight: int) -> None:
        """Wait for so much room, to be given back by `leave`.

        Raises Unavailable after ROOM_SECONDS_MAX: who waits may have some that others wait for.
        """
        try:
            async with asyncio.timeout(memory_limits.ROOM_SECONDS_MAX), self._door.place(user_id):
                while self._taken and self._taken + weight > self._size:
                    await self._look()
                self._taken += weight
        except TimeoutError:
            raise Unavailable(FULL) from None

    async def _look(self) -> None:
        """Wait until somebody leaves. What is in cycles leaves when they are looked for."""
        self._left.clear()
        gc.collect()
        with suppress(TimeoutError):
            async with asyncio.timeout(memory_limits.ROOM_LOOK_SECONDS):
                await self._left.wait()

    def leave(self, weight: int) -> None:
        """Give room back."""
        self._taken -= weight
        self._left.set()

    def leave_after(self, parts: Collection[object], weight: int) -> None:
        """Give room back when the last of the parts is no more."""
        loop = asyncio.get_running_loop()
        ended = count(1)

        def end() -> None:
            # On whatever thread, and the loop may have ended too.
            if next(ended) == len(finalizers) and not loop.is_closed():
                loop.call_soon_threadsafe(self.leave, weight)

        finalizers = [weakref.finalize(part, end) for part in parts]
        for finalizer in finalizers:
            finalizer.atexit = False
