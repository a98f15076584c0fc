"""Which log it is: the same over reconnections, another one after a backup was put back."""

from __future__ import annotations

import asyncio
import re
from functools import partial

import pytest
from psycopg import AsyncConnection

from runtime import database, process
from runtime.database import Row
from runtime.eventlog import epoch
from runtime.eventlog.log import EventLog
from runtime.eventlog.log_listener import LogListener
from tests.support.log import append, eventually

BREAK = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND application_name ~ 'evergraph test'
"""


class Ended(BaseException):
    """The process would have ended here."""


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often this process would have ended."""
    ended: list[str] = []

    def end() -> None:
        ended.append("ended")
        raise Ended

    monkeypatch.setattr(process, "end_at_once", end)
    return ended


async def replace(superuser: AsyncConnection[Row], *, is_other_log: bool) -> None:
    """All connections break, as when the server restarts, perhaps with other files."""
    if is_other_log:
        await epoch.begin(superuser)
    await superuser.execute(BREAK)


async def has_happened(ended: list[str]) -> bool:
    return bool(ended)


async def test_each_restored_backup_begins_another_epoch(
    database_url: str, superuser: AsyncConnection[Row]
) -> None:
    async with await database.connect(database_url, "test") as connection:
        seen = [await epoch.read(connection), await epoch.read(superuser)]
        assert seen[0] == seen[1]
        assert re.fullmatch(r"[0-9a-f]{16}", seen[0])
        others = {await epoch.begin(connection) for _ in range(3)}
        assert len(others - set(seen)) == 3
        assert await epoch.read(superuser) in others


async def test_a_log_that_stays_the_same_ends_nobody(
    event_log: EventLog, superuser: AsyncConnection[Row], ends: list[str]
) -> None:
    await append(event_log, "a", 0)
    known = event_log.epoch.known
    await replace(superuser, is_other_log=False)
    await append(event_log, "a", 1)
    assert (event_log.epoch.known, ends) == (known, [])


async def test_nothing_is_appended_to_another_log(
    event_log: EventLog, superuser: AsyncConnection[Row], ends: list[str]
) -> None:
    await append(event_log, "a", 0)
    await replace(superuser, is_other_log=True)
    appending = asyncio.create_task(append(event_log, "a", 1))
    await eventually(partial(has_happened, ends))
    appending.cancel()
    cursor = await superuser.execute("SELECT version FROM log.history")
    assert await cursor.fetchall() == [(1,)]


async def test_whoever_waits_for_the_log_to_grow_notices_another_log(
    database_url: str, superuser: AsyncConnection[Row], ends: list[str]
) -> None:
    listener = LogListener(database_url, "test")
    listener.open()
    await listener.wait()
    await replace(superuser, is_other_log=True)
    await eventually(partial(has_happened, ends))
    assert listener._listener is not None
    with pytest.raises(Ended):
        await listener._listener
