"""A line between two processes that can fail in ways in which real lines fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]

CHUNK_BYTES = 65_536


class Proxy:
    """Listens on a loopback port and passes everything on, until told otherwise."""

    def __init__(self, connect: Callable[[], Awaitable[Line]]) -> None:
        self._connect = connect
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._may_pass = asyncio.Event()
        self._may_pass.set()
        self._drops_replies = False
        self.dropped = asyncio.Event()
        """A reply has been thrown away: whatever it answered has been done."""
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def drop_replies(self) -> None:
        """Requests arrive, but the line breaks when the answer to one should come back."""
        self.dropped.clear()
        self._drops_replies = True

    def blackhole(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._may_pass.clear()

    def cut(self) -> None:
        """Break all lines that are there now; new ones can be opened."""
        for writer in self._writers:
            writer.transport.abort()

    def heal(self) -> None:
        """Pass everything on again; what was held back arrives late."""
        self._drops_replies = False
        self._may_pass.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._join((reader, writer), await self._connect())
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _join(self, client: Line, server: Line) -> None:
        self._writers |= {client[1], server[1]}
        ways = (
            asyncio.ensure_future(self._pass_on(client[0], server[1])),
            asyncio.ensure_future(self._pass_on(server[0], client[1], are_replies=True)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            server[1].transport.abort()
            self._writers -= {client[1], server[1]}
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        are_replies: bool = False,
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._may_pass.wait()
            if are_replies and self._drops_replies:
                self.dropped.set()
                return
            writer.write(data)
            await writer.drain()
