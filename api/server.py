"""The API process: the application under uvicorn."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from litestar import Litestar
from uvicorn.config import STARTUP_FAILURE
from uvicorn.server import logger

from api.app import create_app
from api.connections import descriptors
from api.connections.http import ConnectionState, HttpProtocol
from api.connections.listener import Listener, bind
from api.connections.places import Places
from api.connections.sockets import SocketProtocol
from domain.limits import memory_limits, socket_limits
from runtime import memory
from runtime.settings import Settings

SHUTDOWN_SECONDS = 5
TICKS_PER_LOOK = 2


class Server(uvicorn.Server):
    """Leaves signals to the process that it runs in; cancelling `serve` stops it."""

    def __init__(
        self,
        app: Litestar,
        settings: Settings,
        listens: Callable[[], None] = lambda: None,
        **changes: Any,
    ) -> None:
        """`listens` is called once, when the port is bound. `changes` are options of uvicorn."""
        self._listens = listens
        options: dict[str, Any] = {
            "host": settings.host,
            "port": settings.port,
            "loop": "none",
            "http": HttpProtocol,
            "ws": SocketProtocol,
            "ws_max_size": socket_limits.SOCKET_MESSAGE_BYTES_MAX,
            "timeout_keep_alive": settings.idle_seconds,
            "access_log": False,
            "log_config": None,
            "server_header": False,
            "date_header": True,
            "timeout_graceful_shutdown": SHUTDOWN_SECONDS,
            "lifespan": "on",
        }
        super().__init__(uvicorn.Config(app, **options | changes))
        connections = descriptors.claim(settings.connections)
        self._state = ConnectionState(Places(connections, settings.connections_per_address))
        self.server_state = self._state

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's own, with a listener of ours."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        try:
            listening = sockets or await bind(self.config.host, self.config.port)
        except OSError as error:
            logger.error(error)
            await self.lifespan.shutdown()
            sys.exit(STARTUP_FAILURE)
        listener = Listener(listening, self._state.places, self._make_protocol)
        self.servers = [cast("asyncio.Server", listener)]
        self.started = True
        self._listens()

    def _make_protocol(self) -> asyncio.Protocol:
        return HttpProtocol(self.config, self._state, self.lifespan.state)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % TICKS_PER_LOOK == 0:
            self._state.look()
        return await super().on_tick(counter)


async def serve(settings: Settings, listens: Callable[[], None] = lambda: None) -> None:
    """Serve until cancelled; then finish the requests in flight. `listens` is called once, when
    the port is bound.
    """
    memory.bound(memory_limits.API_MEMORY_BYTES_MAX)
    server = Server(create_app(settings), settings, listens)
    serving = asyncio.create_task(server.serve(), name="http")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise
