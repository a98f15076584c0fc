"""HTTP over kept connections, as cheaply as Python can: the load shares the machine's cores."""

from __future__ import annotations

import asyncio
import re
from typing import cast

from benchmarks.load.installation import HOST

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
END_OF_HEAD = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, protocol = await asyncio.get_running_loop().create_connection(cls, HOST, port)
        return protocol

    async def send(self, request: bytes) -> bytes:
        """The body of the answer. Raises RuntimeError unless it is 200."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(END_OF_HEAD)
        length = LENGTH.search(head)
        if not found or length is None or len(body) < int(length[1]):
            return
        self._received = b""
        assert self._answer is not None
        if head.startswith(b"HTTP/1.1 200 "):
            self._answer.set_result(body)
        else:
            self._answer.set_exception(RuntimeError(f"{head.decode()} {body.decode()}"))

    def connection_lost(self, _: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the API closed the connection"))


def request(method: str, path: str, token: str = "", body: bytes = b"") -> bytes:
    """A request, ready to be sent as often as wanted."""
    return (
        f"{method} {path} HTTP/1.1\r\n"
        f"Host: {HOST}\r\n"
        f"Authorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
