"""WebSockets over uvicorn's own."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from api import headers
from api.connections.proxies import is_tls
from api.connections.watched import Watched
from api.live.frames import BoundedFrames


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
