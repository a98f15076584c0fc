"""Who may have much in memory: few at once, or the memory of the process would not do."""

from __future__ import annotations

import asyncio

from runtime.backlog import Share
from runtime.fair_queue import FairQueue


class Permit:
    """The right to have much in memory, taken when it is needed.

    Only a user who has room for what becomes of it gets it, and this room is counted meanwhile.
    """

    def __init__(self, crowd: FairQueue, share: Share, size: int) -> None:
        """`size` is that of what becomes of it at the most."""
        self._crowd = crowd
        self._share = share
        self._size = size
        self._is_held = False

    async def take(self) -> None:
        """Wait for it, unless it is held. Raises Unavailable if the user leaves too much unread."""
        while not self._is_held:
            await self._share.room(self._size)
            await self._crowd.enter(self._share.user_id)
            if self._share.has_room(self._size):
                self._share.put(self._size)
                self._is_held = True
            else:
                self._crowd.leave(self._share.user_id)

    def give_back(self, rest: float = 0.0) -> None:
        """What became of it is counted from now on, as large as it is. The place in the crowd stays
        empty for `rest` seconds.
        """
        if self._is_held:
            self._is_held = False
            self._share.take(self._size)
            if rest:
                asyncio.get_running_loop().call_later(rest, self._crowd.leave, self._share.user_id)
            else:
                self._crowd.leave(self._share.user_id)
