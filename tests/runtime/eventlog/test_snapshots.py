"""Of each stream the newest fold is kept, and only a sound one is handed out."""

from __future__ import annotations

import asyncio
from typing import LiteralString

import pytest
from psycopg import AsyncConnection

from runtime.database import Row
from runtime.eventlog.log import EventLog

FORMAT = 1


async def test_the_newest_is_kept(event_log: EventLog) -> None:
    snapshots = event_log.snapshots
    assert await snapshots.load("s", FORMAT) is None
    await snapshots.save("s", 10, FORMAT, b"ten")
    await snapshots.save("t", 1, FORMAT, b"another stream")
    assert await snapshots.load("s", FORMAT) == (10, b"ten")
    await snapshots.save("s", 9, FORMAT, b"late")
    assert await snapshots.load("s", FORMAT) == (10, b"ten")
    await snapshots.save("s", 20, FORMAT, b"twenty" * 100_000)
    assert await snapshots.load("s", FORMAT) == (20, b"twenty" * 100_000)


async def test_of_many_the_newest_stays(event_log: EventLog) -> None:
    versions = [3, 8, 1, 7, 2, 6, 5, 4]
    await asyncio.gather(
        *(event_log.snapshots.save("s", version, FORMAT, b"%d" % version) for version in versions)
    )
    assert await event_log.snapshots.load("s", FORMAT) == (8, b"8")


async def test_what_is_too_new_is_not_handed_out(event_log: EventLog) -> None:
    await event_log.snapshots.save("s", 10, FORMAT, b"ten")
    assert await event_log.snapshots.load("s", FORMAT, at_most=9) is None
    assert await event_log.snapshots.load("s", FORMAT, at_most=10) == (10, b"ten")


async def test_another_format_is_nothing_until_it_is_replaced(event_log: EventLog) -> None:
    await event_log.snapshots.save("s", 10, FORMAT, b"ten")
    assert await event_log.snapshots.load("s", FORMAT + 1) is None
    await event_log.snapshots.save("s", 10, FORMAT + 1, b"ten anew")
    assert await event_log.snapshots.load("s", FORMAT + 1) == (10, b"ten anew")
    assert await event_log.snapshots.load("s", FORMAT) is None


@pytest.mark.parametrize("damage", ["state = 'eleven'", "version = 11", "stream = 's'"])
async def test_a_damaged_one_is_nothing_until_it_is_replaced(
    event_log: EventLog, superuser: AsyncConnection[Row], damage: LiteralString
) -> None:
    await event_log.snapshots.save("r", 10, FORMAT, b"ten")
    await superuser.execute(f"UPDATE work.snapshots SET {damage}")
    stream = "s" if "stream" in damage else "r"
    assert await event_log.snapshots.load(stream, FORMAT) is None
    await event_log.snapshots.save(stream, 11, FORMAT, b"sound")
    assert await event_log.snapshots.load(stream, FORMAT) == (11, b"sound")


async def test_what_is_forgotten_is_gone(event_log: EventLog) -> None:
    await event_log.snapshots.save("s", 10, FORMAT, b"ten")
    await event_log.snapshots.save("t", 10, FORMAT, b"ten")
    await event_log.snapshots.forget("s")
    await event_log.snapshots.forget("s")
    assert await event_log.snapshots.load("s", FORMAT) is None
    assert await event_log.snapshots.load("t", FORMAT) == (10, b"ten")
