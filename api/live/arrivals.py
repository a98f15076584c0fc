"""How often a user may open a socket."""

from __future__ import annotations

import asyncio

from api.live.rate import TokenBucket
from domain.limits import socket_limits
from runtime.cache import BoundedCache


class Arrivals:
    """Else whoever is closed for too many messages would come again at once, and a new socket costs
    as much as hundreds of these. One a process.
    """

    def __init__(self) -> None:
        self._left: BoundedCache[str, TokenBucket] = BoundedCache(
            socket_limits.SOCKET_USERS_REMEMBERED_MAX
        )

    async def turn(self, user_id: str) -> bool:
        """Wait until this user may open another one; whether that was soon enough."""
        left = self._left.get(user_id)
        if left is None:
            left = TokenBucket(
                socket_limits.SOCKETS_OPENED_PER_SECOND, socket_limits.SOCKETS_OPENED_BURST
            )
            self._left.put(user_id, left)
        try:
            async with asyncio.timeout(socket_limits.SOCKET_OPEN_SECONDS_MAX):
                await left.turn()
        except TimeoutError:
            return False
        return True
