"""The API process: the application under uvicorn."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from api.app import create_app
from api.live.frames import BoundedFrames
from domain import limits
from runtime.settings import Settings

SHUTDOWN_SECONDS = 5


class SocketProtocol(BoundedFrames):
    """Refuses a handshake that it cannot read, such as one with an endless address. uvicorn keeps
    the connection and the answer, for as long as the peer likes.
    """

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()


class Server(uvicorn.Server):
    """Leaves signals to the process that it runs in; cancelling `serve` stops it. Calls `listens`
    as soon as it has its port.
    """

    def __init__(self, config: uvicorn.Config, listens: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._listens = listens

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listens()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, listens: Callable[[], None] = lambda: None) -> None:
    """Serve until cancelled; then finish the requests in flight. `listens` is called once, when
    the port is bound.
    """
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="none",
        http="httptools",
        ws=SocketProtocol,
        ws_max_size=limits.SOCKET_MESSAGE_BYTES_MAX,
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        lifespan="on",
    )
    server = Server(config, listens)
    serving = asyncio.create_task(server.serve(), name="http")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
