"""Connections to the simulated database, as the product's code uses them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import psycopg
from psycopg_pool import PoolTimeout

from domain.limits import database_limits
from tests.simulation import statements
from tests.simulation.database import Line, Server
from tests.simulation.statements import Session


class Cursor:
    """What a statement answered."""

    def __init__(self, rows: Sequence[tuple[Any, ...]], rowcount: int) -> None:
        self._rows = list(rows)
        self.rowcount = rowcount

    async def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None

    async def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows


class Connection:
    """An asynchronous connection."""

    def __init__(self, server: Server, line: Line) -> None:
        self._session = Session(server, line)
        self._line = line

    async def execute(
        self,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        binary: bool = False,
    ) -> Cursor:
        """Raises psycopg.Error."""
        work = statements.find(statement)
        rows, count = await self._line.ask(lambda: self._session.run(work, parameters))
        return Cursor(rows, count)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self._line.ask(self._session.begin)
        try:
            yield
        except BaseException:
            self._session.roll_back()
            raise
        await self._line.ask(self._session.commit)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._line.close()


class Pool:
    """Sessions of one process; one is enough, as what is asked over it does not queue up."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._line: Line | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Raises PoolTimeout while the server is down."""
        yield Connection(self._server, await self.line())

    async def line(self) -> Line:
        """A session; that it is lost is known only when it has been used. Raises PoolTimeout."""
        if self._line is None or self._line.is_known_over or self._line.is_lost:
            self._line = await connected(self._server, database_limits.DATABASE_LOCK_SECONDS_MAX)
        return self._line


class SyncCursor:
    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._rows = rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None


class SyncConnection:
    """A connection of a thread: its statements are done at once, as the thread waits for them."""

    def __init__(self, server: Server) -> None:
        self.line = server.connect()
        self._session = Session(server, self.line)

    def execute(self, statement: str, parameters: Sequence[Any]) -> SyncCursor:
        rows, _ = statements.find(statement)(self._session, parameters)
        return SyncCursor(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()


async def connected(server: Server, seconds: float) -> Line:
    """A new session. Raises PoolTimeout when there is none for so long."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return server.connect()
        except psycopg.OperationalError:
            if asyncio.get_running_loop().time() > deadline:
                raise PoolTimeout("no connection in time") from None
        await asyncio.sleep(0.1)


Say = Callable[[Any], None]


async def beat(server: Server, say: Say, seconds: float) -> None:
    """What `workers.heartbeat.beat` does from a thread."""
    while True:
        await asyncio.sleep(seconds)
        try:
            with SyncConnection(server) as connection:
                while True:
                    await connection.line.ask(lambda: None)
                    say(connection)
                    await asyncio.sleep(seconds)
        except psycopg.OperationalError:
            continue
