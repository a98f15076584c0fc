"""Who follows the log is told of appends: of some at once, of others a little later."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from domain.limits import log_limits
from runtime import database
from runtime.database import Row
from runtime.eventlog.log import EventLog, StreamWrite
from runtime.eventlog.log_listener import CHANNEL
from tests.support.log import ORIGIN, append, granted

NEVER = 3_600.0


@pytest.fixture
async def listener(database_url: str) -> AsyncIterator[AsyncConnection[Row]]:
    async with await database.connect(database_url, "listener") as connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        yield connection


async def append_quietly(log: EventLog, stream: str) -> None:
    await log.append([StreamWrite.of(stream, 0, [granted()])], ORIGIN, can_wait=True)


async def heard(listener: AsyncConnection[Row]) -> str:
    """The next position that is told."""
    async for notification in listener.notifies(stop_after=1):
        return notification.payload
    raise AssertionError("nothing was told")


async def test_what_can_wait_is_told_with_what_cannot(
    event_log: EventLog, listener: AsyncConnection[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_limits, "ANNOUNCE_SECONDS", NEVER)
    await append_quietly(event_log, "a")
    await append_quietly(event_log, "b")
    await append(event_log, "c", 0)
    assert await heard(listener) == "3"


async def test_what_can_wait_is_told_soon_by_itself(
    event_log: EventLog, listener: AsyncConnection[Row]
) -> None:
    await append_quietly(event_log, "a")
    assert await heard(listener) == "1"
    assert await event_log.read_head() == 1
