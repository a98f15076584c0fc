"""A service outside that answers every request at once, for nodes that act on the world."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from benchmarks.load.client import END_OF_HEAD, LENGTH
from benchmarks.load.installation import HOST

ANSWER = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"number":1}'
)


class Echo(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(END_OF_HEAD)
        length = LENGTH.search(head)
        if found and len(body) >= int(length[1] if length else 0):
            self._received = b""
            self._transport.write(ANSWER)


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """The URL of the service, which runs in this process."""
    server = await asyncio.get_running_loop().create_server(Echo, HOST, 0)
    async with server:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}/"
