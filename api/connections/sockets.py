"""WebSockets over uvicorn's own."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import ClientDisconnected
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from api.connections.proxies import is_tls
from api.connections.watched import Watched
from api.http import headers
from api.live.frames import BoundedFrames
from domain.limits import connection_limits, socket_limits

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

PIECE = connection_limits.ANSWER_PIECE_BYTES


class Handshakes(ServerProtocol):
    """Refuses them with the headers of any other refusal."""

    is_tls = False

    def reject(self, status: HTTPStatus | int, text: str) -> Response:
        response = super().reject(status, text)
        for name, value in headers.of_refusal(is_tls=self.is_tls):
            response.headers[name.decode()] = value.decode()
        return response


class SocketProtocol(Watched, BoundedFrames):
    """One socket, in the place that it got as a connection."""

    conn: Handshakes
    _is_told = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = Handshakes(
            extensions=self.conn.available_extensions,
            max_size=self.config.ws_max_size,
            logger=self.logger,
        )

    def handle_connect(self, event: Request) -> None:
        said = [
            (name.lower().encode(), value.encode(errors="surrogateescape"))
            for name, value in event.headers.raw_items()
        ]
        self.conn.is_tls = is_tls(self.app, self.client, said)
        super().handle_connect(event)

    def data_received(self, data: bytes) -> None:
        """Refuses a handshake that it cannot read, such as one with an endless header. uvicorn
        keeps the connection and the answer, for as long as the peer likes.
        """
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.leave()

    def check(self, _: float) -> None:
        """May give way from when it is closed, even if its peer does not hear that. All else about
        its life is seen to by uvicorn's pings and by the handler.
        """
        if self.close_sent and self.place is not None and not self._is_told:
            self._is_told = True
            self.place.wait()

    async def send(self, message: ASGISendEvent) -> None:
        """Takes texts as bytes in UTF-8: decoded, a large text takes up to four times more."""
        if message["type"] == "websocket.send":
            text = message["bytes"]
            assert text is not None
            await self._send_text(text)
        else:
            await super().send(message)

    async def _send_text(self, text: bytes) -> None:
        """In fragments. Each waits until the connection has hardly anything left of those before
        it. Raises TimeoutError if the peer reads nothing for too long, and ClientDisconnected.
        """
        for first in range(0, len(text), PIECE):
            if not self.writable.is_set():
                async with asyncio.timeout(socket_limits.SOCKET_STALL_SECONDS_MAX):
                    await self.writable.wait()
            if self.disconnected or self.close_sent:
                raise ClientDisconnected
            piece, is_last = text[first : first + PIECE], first + PIECE >= len(text)
            if first == 0:
                self.conn.send_text(piece, fin=is_last)
            else:
                self.conn.send_continuation(piece, fin=is_last)
            self.transport.write(b"".join(self.conn.data_to_send()))
