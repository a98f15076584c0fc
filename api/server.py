"""The API process: the application under uvicorn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.app import create_app
from domain import limits, memory_limits
from runtime import heap
from runtime.settings import Settings

SHUTDOWN_SECONDS = 5


class SocketProtocol(WebSocketsSansIOProtocol):
    """Refuses a handshake that it cannot read, such as one with an endless address. uvicorn keeps
    the connection and the answer, for as long as the peer likes.
    """

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()


class Server(uvicorn.Server):
    """Leaves signals to the process that it runs in; cancelling `serve` stops it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings) -> None:
    """Serve until cancelled; then finish the requests in flight."""
    heap.bound(memory_limits.API_MEMORY_BYTES_MAX)
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
    server = Server(config)
    serving = asyncio.create_task(server.serve(), name="http")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
