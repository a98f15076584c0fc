"""What a peer has still to be sent: bounded, so that one who does not read costs little."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from domain.limits import memory_limits, request_limits, socket_limits
from runtime.backlog import Backlog, Share

GONE = (OSError, WebSocketDisconnect, RuntimeError)
"""What sending can raise when the peer has left. uvicorn raises a bare RuntimeError for a message
after a close of its own, which it sends to a peer that answers no pings."""

CROWDED, EASED = 0.5, 0.25


class SendQueues:
    """Those of one process, whose users each have a share of its memory."""

    def __init__(self) -> None:
        self._backlog = Backlog(memory_limits.MESSAGES_BYTES_MAX)
        self._of_user: dict[str, set[SendQueue]] = {}

    @contextmanager
    def opened(self, user_id: str) -> Iterator[SendQueue]:
        """One more of this user, empty after the block."""
        siblings = self._of_user.setdefault(user_id, set())
        send_queue = SendQueue(self._backlog.share(user_id), siblings)
        siblings.add(send_queue)
        try:
            yield send_queue
        finally:
            send_queue.give_up()
            siblings.discard(send_queue)
            if not siblings:
                self._of_user.pop(user_id, None)


class SendQueue:
    """Messages to one peer, in order. A peer that reads too slowly for its bounds is given up. If
    all peers of a user have too much together, it is the one that has most.
    """

    def __init__(self, share: Share, siblings: set[SendQueue]) -> None:
        self.share = share
        """Of what all sockets have still to be sent."""
        self._siblings = siblings
        self._messages: deque[bytes] = deque()
        self.size = 0
        self._filled = asyncio.Event()
        self._eased = asyncio.Event()
        self.overflowed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the peer was given up; nothing is kept for it any more."""

    def put(self, message: bytes) -> None:
        """Queue a message. One alone may be as large as it is, if its user has room for it."""
        if self.overflowed.done():
            return
        self._messages.append(message)
        self._count(len(message))
        if len(self._messages) > 1 and self._fullness > 1:
            self.give_up()
        elif not self.share.has_room():
            self._relieve()
        self._filled.set()

    def give_up(self) -> None:
        """Drop everything: the peer is too slow."""
        self._messages.clear()
        self._count(-self.size)
        if not self.overflowed.done():
            self.overflowed.set_result(None)

    def _relieve(self) -> None:
        """All peers of the user have too much together: drop that of the slowest."""
        slowest = max(self._siblings, key=lambda one: one.size)
        if not slowest.is_light:
            slowest.give_up()

    @property
    def is_light(self) -> bool:
        """Whether it has so little that it waits for no other peer of its user."""
        return self.size <= memory_limits.MESSAGES_LIGHT_BYTES

    @property
    def is_crowded(self) -> bool:
        """Whether what can wait should: the rest of the room is for what cannot."""
        return self._is_fuller_than(CROWDED)

    async def room(self) -> None:
        """Wait until much of it has gone, if it is crowded."""
        if self.is_crowded:
            while self._is_fuller_than(EASED):
                self._eased.clear()
                await self._eased.wait()

    async def drain(self, socket: WebSocket[Any, Any, Any]) -> None:
        """Send what comes, until the peer has left. One that takes nothing for too long is given
        up.
        """
        with suppress(*GONE):
            while True:
                while self._messages:
                    await self._send(socket, self._messages[0])
                self._filled.clear()
                await self._filled.wait()

    async def _send(self, socket: WebSocket[Any, Any, Any], message: bytes) -> None:
        try:
            await socket.send_data(message, mode="binary")
        except TimeoutError:
            self.give_up()
        if not self.overflowed.done():
            self._messages.popleft()
            self._count(-len(message))

    def _count(self, size: int) -> None:
        self.size += size
        if size > 0:
            self.share.put(size)
        else:
            self.share.take(-size)
            self._eased.set()

    def _is_fuller_than(self, part: float) -> bool:
        if self._fullness > part:
            return True
        return not (self.is_light or self.share.has_room(request_limits.OUTPUTS_PAGE_BYTES))

    @property
    def _fullness(self) -> float:
        return max(
            len(self._messages) / socket_limits.SOCKET_BACKLOG_MESSAGES_MAX,
            self.size / socket_limits.SOCKET_BACKLOG_BYTES_MAX,
        )
