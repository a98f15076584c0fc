"""What a peer has still to be sent: bounded, so that one who does not read costs little."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from domain import limits

GONE = (OSError, WebSocketDisconnect, RuntimeError)
"""What sending can raise when the peer has left. uvicorn raises a bare RuntimeError for a message
behind a close of its own, which it sends to a peer that answers no pings."""

CROWDED = 0.5


class Outbox:
    """Messages to one peer, in order. Beyond its bounds the peer is given up."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._eased = asyncio.Event()
        self.overflowed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the peer was given up; nothing is kept for it any more."""

    def put(self, message: bytes) -> None:
        """Queue a message. One alone may be as large as it is."""
        if self.overflowed.done():
            return
        self._messages.append(message)
        self._bytes += len(message)
        if len(self._messages) > 1 and self._fullness > 1:
            self.give_up()
        self._filled.set()

    def give_up(self) -> None:
        """Drop everything: the peer is too slow."""
        self._messages.clear()
        self._bytes = 0
        if not self.overflowed.done():
            self.overflowed.set_result(None)

    @property
    def is_crowded(self) -> bool:
        """Whether what can wait should: the rest of the room is for what cannot."""
        return self._fullness > CROWDED

    async def room(self) -> None:
        """Wait until it is not crowded. A peer that takes nothing for too long is given up."""
        while self.is_crowded:
            self._eased.clear()
            try:
                async with asyncio.timeout(limits.SOCKET_STALL_SECONDS_MAX):
                    await self._eased.wait()
            except TimeoutError:
                self.give_up()

    async def drain(self, socket: WebSocket[Any, Any, Any]) -> None:
        """Send what comes, until the peer has left."""
        with suppress(*GONE):
            while True:
                while self._messages:
                    message = self._messages.popleft()
                    self._bytes -= len(message)
                    self._eased.set()
                    await socket.send_data(message)
                self._filled.clear()
                await self._filled.wait()

    @property
    def _fullness(self) -> float:
        return max(
            len(self._messages) / limits.SOCKET_BACKLOG_MESSAGES_MAX,
            self._bytes / limits.SOCKET_BACKLOG_BYTES_MAX,
        )
