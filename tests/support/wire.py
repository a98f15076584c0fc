"""HTTP as bytes: what no client library would send, and when it would not send it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2
import msgspec

SECONDS_MAX = 20.0
LIVE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def slug(self) -> str:
        """Of a problem."""
        return str(msgspec.json.decode(self.body)["type"])


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        """With a pause after each piece. Raises ConnectionError."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(pause)

    async def head(self) -> Answer:
        """The next one, before its body. Raises EOFError where none comes, and ConnectionError."""
        async with asyncio.timeout(SECONDS_MAX):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        return Answer(int(first.split()[1]), headers, b"")

    async def answer(self) -> Answer:
        """The next one. Raises EOFError where none comes, and ConnectionError."""
        head = await self.head()
        async with asyncio.timeout(SECONDS_MAX):
            body = await self._reader.readexactly(int(head.headers.get("content-length", 0)))
        return head._replace(body=body)

    async def ask(self, request: bytes = LIVE) -> Answer:
        await self.send(request)
        return await self.answer()

    async def trickle(self, piece: bytes, pause: float) -> Answer:
        """Send the same again and again until it is answered. Raises EOFError, ConnectionError."""
        answering = asyncio.create_task(self.answer())
        try:
            while not answering.done():
                await self.send(piece, pause=pause)
            return await answering
        finally:
            answering.cancel()

    async def rest(self) -> bytes:
        """All up to the end, which may be an abrupt one. Raises TimeoutError."""
        read = b""
        async with asyncio.timeout(SECONDS_MAX):
            try:
                while piece := await self._reader.read(65_536):
                    read += piece
            except ConnectionError:
                return read
        return read

    def close(self) -> None:
        self._writer.transport.abort()


class Wires:
    """Connections to one API, all of them closed in the end."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: list[Wire] = []

    async def connect(self, source: str = "127.0.0.1", **options: Any) -> Wire:
        peer = socket.socket()
        for name, value in options.items():
            peer.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        peer.setblocking(False)
        peer.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", self._port))
        wire = Wire(*await asyncio.open_connection(sock=peer))
        self._open.append(wire)
        return wire

    def close(self) -> None:
        for wire in self._open:
            wire.close()


@asynccontextmanager
async def wires(http: httpx2.AsyncClient) -> AsyncIterator[Wires]:
    """Connections to the API that `http` calls."""
    assert http.base_url.port is not None
    found = Wires(http.base_url.port)
    try:
        yield found
    finally:
        found.close()
