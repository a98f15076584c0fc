"""Where answers go out. What peers have not read yet is bounded, for each user and in all.

An answer is sent in pieces. Each waits until the connection has hardly anything left of those
before it. So a slow peer costs as much memory as the answer has bytes, and these are counted.
"""

from __future__ import annotations

from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import refused
from domain.errors import Unavailable
from domain.limits import connection_limits
from runtime.backlog import FULL, Backlog, Share

PIECE = connection_limits.ANSWER_PIECE_BYTES


class Answers(ASGIMiddleware):
    """Counts answers of more than one piece, and refuses those for which their user has no room.

    None waits here, because it would wait in memory. Requests for what is large wait for room
    before it is made (`projections/runs/permits.py`).
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        answer = _Answer(self._backlog, scope, receive, send)
        try:
            await next_app(scope, receive, answer.send)
        finally:
            answer.end()


class _Answer:
    """The answer to one request. If it is streamed, no part is larger than the first."""

    __slots__ = (
        "_backlog",
        "_is_refused",
        "_receive",
        "_scope",
        "_send",
        "_share",
        "_size",
        "_start",
    )

    def __init__(self, backlog: Backlog, scope: Scope, receive: Receive, send: Send) -> None:
        self._backlog = backlog
        self._scope = scope
        self._receive = receive
        self._send = send
        self._start: Message | None = None
        self._share: Share | None = None
        self._size = 0
        self._is_refused = False

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            self._start = message  # The next one says how large it is.
            return
        body = message["body"]
        if self._start is not None:
            await self._begin(self._start, len(body))
        if self._is_refused:
            return
        if len(body) <= PIECE:
            await self._send(message)
            return
        for first in range(0, len(body), PIECE):
            has_more = message["more_body"] or first + PIECE < len(body)
            piece = body[first : first + PIECE]
            await self._send({"type": "http.response.body", "body": piece, "more_body": has_more})

    def end(self) -> None:
        """The connection has taken it, or is gone."""
        if self._share is not None:
            self._share.take(self._size)

    async def _begin(self, start: Message, size: int) -> None:
        self._start = None
        if size <= PIECE or self._has_room(size):
            await self._send(start)
            return
        self._is_refused = True
        refusal = refused(Unavailable(FULL)).to_asgi_response(None, Request(self._scope))
        await refusal(self._scope, self._receive, self._send)

    def _has_room(self, size: int) -> bool:
        share = self._backlog.share(_asker(self._scope))
        if not share.has_room(size):
            return False
        share.put(size)
        self._share, self._size = share, size
        return True


def _asker(scope: Scope) -> str:
    """The user, or where somebody without a token comes from."""
    if (user := scope.get("user")) is not None:
        return str(user.user_id)
    client = scope["client"]
    return "" if client is None else client[0]
