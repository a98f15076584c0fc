"""Streams are read page by page, and whoever reads at the same time shares a statement."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg_pool import PoolClosed

from domain.errors import Invalid
from domain.events import UnknownEventType
from domain.limits import log_limits
from runtime.database import Row
from runtime.eventlog.log import EventLog, StreamWrite, opened
from runtime.eventlog.reader import StreamEvent
from tests.support.log import ORIGIN, append, eventually, granted, whole_stream

BLOCKED = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE application_name = 'evergraph test' AND datname = current_database()"
    " AND state = 'active' AND wait_event_type = 'Lock'"
)


class Bar:
    """While it is down, the server takes statements on the log and answers none."""

    def __init__(self, observer: AsyncConnection[Row]) -> None:
        self.observer = observer

    async def blocked(self) -> list[int]:
        """The server processes at which readers wait."""
        cursor = await self.observer.execute(BLOCKED)
        return [pid for (pid,) in await cursor.fetchall()]


@asynccontextmanager
async def barred(url: str) -> AsyncIterator[Bar]:
    """A bar that is down inside the `async with`."""
    async with (
        await AsyncConnection.connect(url, autocommit=True) as observer,
        await AsyncConnection.connect(url) as connection,
    ):
        await connection.execute("LOCK TABLE log.stored_events IN ACCESS EXCLUSIVE MODE")
        yield Bar(observer)


async def ask(log: EventLog, *repository: str) -> list[asyncio.Task[list[StreamEvent]]]:
    """Reads that have been asked for and not been answered."""
    reads = [asyncio.create_task(whole_stream(log, stream)) for stream in repository]
    await asyncio.sleep(0)
    return reads


async def sizes(log: EventLog, stream: str, after: int = 0, upto: int | None = None) -> list[int]:
    return [len(page) async for page in log.stream_pages(stream, after, upto)]


async def versions(
    log: EventLog, stream: str, after: int = 0, upto: int | None = None
) -> list[int]:
    return [e.version async for page in log.stream_pages(stream, after, upto) for e in page]


async def test_a_long_stream_comes_in_pages(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [granted(amount) for amount in range(1, 8)]
    await append(event_log, "s", 0, *written)
    await append(event_log, "t", 0, granted(100))
    monkeypatch.setattr(log_limits, "STREAM_PAGE_EVENTS", 3)
    assert await sizes(event_log, "s") == [3, 3, 1]
    assert await sizes(event_log, "s", after=1) == [3, 3]
    assert await sizes(event_log, "s", after=7) == []
    assert await sizes(event_log, "none") == []
    assert await versions(event_log, "s", after=2, upto=6) == [3, 4, 5, 6]
    assert await versions(event_log, "s", upto=1) == [1]
    assert await versions(event_log, "s", after=4, upto=4) == []
    recorded = await whole_stream(event_log, "s")
    assert [entry.event for entry in recorded] == written
    assert [entry.position for entry in recorded] == list(range(1, 8))


async def test_large_events_make_short_pages(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(event_log, "s", 0, *[granted(reason="x" * 100)] * 5)
    monkeypatch.setattr(log_limits, "STREAM_PAGE_BYTES", 200)
    assert await sizes(event_log, "s") == [2, 2, 1]
    monkeypatch.setattr(log_limits, "STREAM_PAGE_BYTES", 1)
    assert await sizes(event_log, "s") == [1] * 5


async def test_a_crowd_shares_statements(
    database_url: str, superuser: AsyncConnection[Row]
) -> None:
    repository = [f"s-{number}" for number in range(100)]
    async with opened(database_url, "test") as log:
        writes = [StreamWrite.of(name, 0, [granted(n)]) for n, name in enumerate(repository, 1)]
        await log.append(writes, ORIGIN)
        found = await asyncio.gather(
            *(whole_stream(log, stream) for stream in (*repository, "none"))
        )
    assert found.pop() == []
    assert [[entry.event for entry in entries] for entries in found] == [
        [granted(amount)] for amount in range(1, 101)
    ]
    assert await transactions(superuser) < 50


async def transactions(connection: AsyncConnection[Row]) -> int:
    """How many there were in this database on lines that are closed by now."""

    async def all_are_closed() -> bool:
        cursor = await connection.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE 'evergraph%'"
        )
        return cursor.rowcount == 0

    await eventually(all_are_closed)
    cursor = await connection.execute(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    )
    [(count,)] = await cursor.fetchall()
    assert isinstance(count, int)
    return count


async def test_who_comes_meanwhile_waits_for_the_next_statement(
    event_log: EventLog, superuser_url: str
) -> None:
    for stream in "abc":
        await append(event_log, stream, 0)
    async with barred(superuser_url) as bar:
        reads = await ask(event_log, "a")
        await eventually(bar.blocked)
        reads += await ask(event_log, "b", "c", "none")
        assert len(await bar.blocked()) == 1
    assert [len(entries) for entries in await asyncio.gather(*reads)] == [1, 1, 1, 0]


async def test_readers_find_what_was_written_however_they_meet(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    lengths = {f"s-{number}": chance.randrange(40) for number in range(20)}
    for stream, length in lengths.items():
        if length:
            await append(event_log, stream, 0, *(granted(n) for n in range(1, length + 1)))
    monkeypatch.setattr(log_limits, "STREAM_READS_MAX", 7)
    monkeypatch.setattr(log_limits, "STREAM_READS_EVENTS", 30)
    monkeypatch.setattr(log_limits, "STREAM_PAGE_EVENTS", 9)

    async def read(stream: str, after: int, upto: int | None) -> None:
        last = lengths[stream] if upto is None else min(upto, lengths[stream])
        async for page in event_log.stream_pages(stream, after, upto):
            assert 0 < len(page) <= 9
            for entry in page:
                after += 1
                assert (entry.version, entry.event) == (after, granted(after))
        assert after >= last

    await asyncio.gather(
        *(
            read(stream, chance.randrange(40), chance.choice([None, chance.randrange(40)]))
            for stream in chance.choices(list(lengths), k=200)
        )
    )


async def test_a_giant_holds_nobody_back(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(event_log, "giant", 0, *[granted()] * 50)
    await append(event_log, "small", 0)
    monkeypatch.setattr(log_limits, "STREAM_PAGE_EVENTS", 10)
    pages = event_log.stream_pages("giant")
    first = await anext(pages)
    giant = asyncio.create_task(_length(pages))
    assert len(await whole_stream(event_log, "small")) == 1
    assert not giant.done()
    assert len(first) + await giant == 50


async def _length(pages: AsyncIterator[list[StreamEvent]]) -> int:
    return sum([len(page) async for page in pages])


async def test_a_caller_that_goes_takes_nobody_along(
    event_log: EventLog, superuser_url: str
) -> None:
    for stream in "abcd":
        await append(event_log, stream, 0)
    async with barred(superuser_url) as bar:
        under_way = await ask(event_log, "a", "b")
        await eventually(bar.blocked)
        waiting = await ask(event_log, "c", "d")
        for gone in (under_way[0], waiting[0]):
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
    for kept in (under_way[1], waiting[1]):
        assert len(await kept) == 1


async def test_everybody_hears_that_the_line_broke(event_log: EventLog, superuser_url: str) -> None:
    await append(event_log, "a", 0)
    async with barred(superuser_url) as bar:
        reads = await ask(event_log, "a")
        await eventually(bar.blocked)
        reads += await ask(event_log, "a", "b")
        (pid,) = await bar.blocked()
        await bar.observer.execute("SELECT pg_terminate_backend(%s)", (pid,))
        for outcome in await asyncio.gather(*reads, return_exceptions=True):
            assert isinstance(outcome, psycopg.OperationalError)
    assert len(await whole_stream(event_log, "a")) == 1


async def test_what_one_stream_holds_harms_no_other(
    event_log: EventLog, superuser: AsyncConnection[Row]
) -> None:
    await append(event_log, "a", 0)
    await superuser.execute(
        "INSERT INTO log.stored_events SELECT 'b', 1, 'unheard.Of@1', state, 2, owner, actor,"
        " causation, correlation, recorded_at FROM log.stored_events"
    )
    reads = await ask(event_log, "a", "b", "\0", "a")
    found, unknown, impossible, again = await asyncio.gather(*reads, return_exceptions=True)
    assert found == again == await whole_stream(event_log, "a")
    assert isinstance(unknown, UnknownEventType)
    assert isinstance(impossible, Invalid)


async def test_nobody_waits_for_a_log_that_is_closed(
    database_url: str,
    superuser_url: str,
) -> None:
    log = EventLog(database_url, "test")
    with pytest.raises(PoolClosed):
        await whole_stream(log, "a")
    await log.open()
    async with barred(superuser_url) as bar:
        reads = await ask(log, "a")
        await eventually(bar.blocked)
        reads += await ask(log, "b")
        await log.close()
        for outcome in await asyncio.gather(*reads, return_exceptions=True):
            assert isinstance(outcome, PoolClosed)
    with pytest.raises(PoolClosed):
        await whole_stream(log, "a")
