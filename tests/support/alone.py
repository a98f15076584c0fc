"""An API whose servers nobody else uses, so that they may be harmed. There are no workers."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString, NamedTuple

import httpx2
from psycopg import AsyncConnection

from migrations.runner import migrate
from runtime import ids
from runtime.database import Row
from runtime.embedded.nats import NatsServer
from runtime.embedded.postgres import PostgresServer
from runtime.embedded.server import Server
from runtime.secrets import sign_token
from runtime.settings import Settings
from tests.support.api import Caller, answered, api
from tests.support.graphs import echo

OURS: LiteralString = "FROM pg_stat_activity WHERE starts_with(application_name, 'evergraph ')"
END_SESSIONS: LiteralString = f"SELECT pg_terminate_backend(pid) {OURS}"


class Alone(NamedTuple):
    settings: Settings
    postgres: PostgresServer
    nats: NatsServer
    http: httpx2.AsyncClient
    caller: Caller

    @asynccontextmanager
    async def superuser(self) -> AsyncIterator[AsyncConnection[Row]]:
        """A session that may do everything, also in a database that is made read-only."""
        async with await AsyncConnection.connect(
            self.postgres.superuser_url, autocommit=True
        ) as connection:
            await connection.execute("SET default_transaction_read_only = off")
            yield connection

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        """Whoever connects in this block, which all have to, may change nothing."""
        async with self.superuser() as connection:
            name = "ALTER DATABASE evergraph"
            await connection.execute(f"{name} SET default_transaction_read_only = on")
            await connection.execute(END_SESSIONS)
            yield
            await connection.execute(f"{name} RESET default_transaction_read_only")
            await connection.execute(END_SESSIONS)

    @asynccontextmanager
    async def hung(self, which: str = "%") -> AsyncIterator[None]:
        """In this block no session is answered that there was at its beginning, or none of those
        whose names are like `which`.
        """
        async with self.superuser() as connection:
            query = f"SELECT pid {OURS} AND application_name LIKE %s"
            found = await connection.execute(query, (which,))
            pids: Sequence[int] = [pid for (pid,) in await found.fetchall()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    async def reads(self) -> bool:
        """Whether a query succeeds."""
        return (await self.caller.get("/api/v1/credits")).status_code == 200

    async def commands(self) -> None:
        """Commands succeed."""
        answered(await self.caller.post("/api/v1/auth/user"))
        await self.caller.start(await self.caller.save(echo()))


@asynccontextmanager
async def standing_alone(data_dir: Path, disk: Path | None = None) -> AsyncIterator[Alone]:
    """The database may have a disk of its own."""
    async with PostgresServer(disk or data_dir) as postgres, NatsServer(data_dir) as nats:
        await migrate(postgres.migration_url)
        settings = Settings(database_url=postgres.url, nats_url=nats.url, data_dir=data_dir)
        async with api(settings) as http:
            user_id = ids.new_id()
            token = sign_token(settings, user_id=user_id, email="user@example.com")
            yield Alone(settings, postgres, nats, http, Caller(http, user_id, token))


async def kill(server: Server) -> None:
    """`kill -9`, and wait for its end."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
