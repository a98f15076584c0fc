"""Commands of one user that wait for each other while the database lets nobody append."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from blocks.waiting import Wait
from domain.limits import log_limits
from runtime.embedded.postgres import PostgresServer
from tests.support.api import eventually, platform
from tests.support.graphs import graph, node

ORDERING_LOCK = 4919201701
SAVES = 6
WAITING = """
SELECT count(*) = %s FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted
"""


class Gate:
    """Holds up every append. It lets pass what waits now, and closes behind that."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url = url
        self._stack = stack
        self._closed_by: AsyncConnection | None = None

    async def close(self) -> None:
        connection = await AsyncConnection.connect(self._url, autocommit=True)
        await self._stack.enter_async_context(connection)
        locking = asyncio.create_task(
            connection.execute("SELECT pg_advisory_lock(%s)", (ORDERING_LOCK,))
        )
        if self._closed_by is not None:
            await self.until_waiting(2)
            await self.open()
        await locking
        self._closed_by = connection

    async def open(self) -> None:
        assert self._closed_by is not None
        await self._closed_by.execute("SELECT pg_advisory_unlock(%s)", (ORDERING_LOCK,))

    async def until_waiting(self, count: int) -> None:
        connection = self._closed_by
        assert connection is not None

        async def waiting() -> bool:
            cursor = await connection.execute(WAITING, (count,))
            row = await cursor.fetchone()
            return row is not None and bool(row[0])

        await eventually(waiting)


async def test_a_turn_that_does_not_come_says_that_the_service_is_away(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing says that the request conflicts with anything; it was not even looked at."""
    async with platform(postgres, tmp_path, workers=False) as served, AsyncExitStack() as stack:
        user = await served.user()
        document = graph(node("a", Wait, seconds=1))
        saved = await user.save(document)
        monkeypatch.setattr(log_limits, "LOCK_SECONDS_MAX", 0.05)
        assert served.settings.database_url is not None
        gate = Gate(served.settings.database_url, stack)
        await gate.close()
        saves = [asyncio.create_task(user.put(saved.path, document)) for _ in range(SAVES)]
        for _ in range(2):
            await gate.until_waiting(1)
            await gate.close()
        for save in asyncio.as_completed(saves):
            if (await save).status_code != 200:
                break
        await gate.open()
        answers = await asyncio.gather(*saves)
        refused = [answer for answer in answers if answer.status_code != 200]
        assert refused
        for answer in refused:
            assert (answer.status_code, answer.json()["type"]) == (503, "unavailable")
            assert answer.headers["retry-after"] == "1"
