"""A small HTTP/1.1 server on a loopback address that says exactly what a test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

CHUNK = b"\0" * 65_536


class Received(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[Received], bytes | AsyncIterator[bytes]]
"""The whole answer; or its pieces, after which the connection is closed."""


class HttpServer:
    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.handlers = handlers
        self.received: list[Received] = []
        self.connections = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def url(self, target: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{target}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read(reader)
        self.received.append(request)
        answer = self.handlers[request.target](request)
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
            return True
        async for piece in answer:
            writer.write(piece)
            await writer.drain()
        return False

    async def end_connections(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def http_server(
    handlers: Mapping[str, Handler], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpServer]:
    server = HttpServer(handlers)
    listener = await asyncio.start_server(server.serve, host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.end_connections()
        await listener.wait_closed()


def seen(request: Received) -> bytes:
    """Tells the client what it sent."""
    return answer(200, b"seen", X_Method=request.method, X_Body=request.body.decode())


def to(location: str, status: int = 302) -> bytes:
    return answer(status, location=location)


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Header names with underscores for hyphens."""
    lines = [f"HTTP/1.1 {status} Because", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def endless() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    while True:
        yield CHUNK


async def stalled() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    await asyncio.Event().wait()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)
