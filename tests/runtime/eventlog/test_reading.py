"""Reading the log: pages without gaps, waking up, and never a scan of the whole table."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

import pytest
from psycopg import AsyncConnection

from domain.credits import CreditsGranted, CreditsHeld
from domain.events import topic_of
from domain.limits import log_limits, worker_limits
from runtime import clock
from runtime.database import Row
from runtime.eventlog import reader
from runtime.eventlog.errors import ReceiptExists, VersionConflict
from runtime.eventlog.log import EventLog, Origin, StreamWrite, opened
from runtime.eventlog.log_listener import LogListener
from runtime.eventlog.reader import Excerpt, GapFound
from tests.support.log import ORIGIN, append, eventually, granted, receipt, whole_stream

MANY = 20_000
GRANTED = topic_of(CreditsGranted)
HELD = topic_of(CreditsHeld)

POPULATE = """
WITH events AS (
    INSERT INTO log.stored_events
    SELECT 's-' || n / 10, n %% 10 + 1, 'credits.CreditsGranted@1', '{"amount":1,"reason":""}',
        n + 1 + %(head)s, 'ada', 'ada', gen_random_uuid(), NULL, now()
    FROM generate_series(0, %(many)s - 1) AS n)
INSERT INTO log.receipts
SELECT 'ada', 'many-' || n, '', '', n + 1, now() FROM generate_series(0, %(many)s - 1) AS n
"""

POPULATE_STORES = """
WITH snapshots AS (
    INSERT INTO work.snapshots SELECT 's-' || n, 1, 1, '', ''
    FROM generate_series(0, %(many)s - 1) AS n)
INSERT INTO log.values (owner, hash, value)
SELECT 'ada', encode(sha256(value), 'hex'), value
FROM (SELECT convert_to(n::text, 'UTF8') FROM generate_series(0, %(many)s - 1) AS n) AS v (value)
"""


async def test_pages_follow_each_other(event_log: EventLog) -> None:
    before = datetime.now(UTC)
    for number in range(5):
        await append(event_log, f"s-{number}", 0, granted(number + 1), granted(number + 1))
    async with event_log.pool.connection() as connection:
        first = await reader.read_page(connection, 0, 7)
        second = await reader.read_page(connection, first[-1].position, 7)
        assert await reader.read_page(connection, second[-1].position, 7) == []
    page = [*first, *second]
    assert [entry.position for entry in page] == list(range(1, 11))
    assert [(entry.stream, entry.version) for entry in page[:3]] == [
        ("s-0", 1),
        ("s-0", 2),
        ("s-1", 1),
    ]
    assert [entry.decode() for entry in page[8:]] == [granted(5), granted(5)]
    assert {entry.owner for entry in page} == {"ada"}
    after = datetime.now(UTC)
    for entry in page:
        assert before.timestamp() <= entry.recorded_us / 1e6 <= after.timestamp()
    [recorded, _] = await whole_stream(event_log, "s-0")
    assert recorded.recorded_at.timestamp() == pytest.approx(page[0].recorded_us / 1e6, abs=1e-7)


@pytest.mark.parametrize("missing", [1, 4, 5, 9])
async def test_a_gap_is_found(
    event_log: EventLog, superuser: AsyncConnection[Row], missing: int
) -> None:
    await append(event_log, "s", 0, *[granted()] * 10)
    await superuser.execute(
        "ALTER TABLE log.stored_events DISABLE TRIGGER stored_events_append_only"
    )
    await superuser.execute("DELETE FROM log.stored_events WHERE notification_id = %s", (missing,))
    with pytest.raises(GapFound):
        await read_to_the_end(superuser)
    with pytest.raises(GapFound):
        await reader.read_excerpt(superuser, 0, [GRANTED])


async def read_to_the_end(connection: AsyncConnection[Row]) -> None:
    position = 0
    while page := await reader.read_page(connection, position, 4):
        position = page[-1].position


async def test_the_wake_up_wakes_up_every_batch(
    event_log: EventLog, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_limits, "POLL_SECONDS", 60.0)
    listener = LogListener(database_url, "test")
    listener.open()
    try:
        await listener.wait()  # once for what may have been there before it listened
        for version in range(5):
            began = clock.monotonic()
            await append(event_log, "a", version)
            await listener.wait()
            assert clock.monotonic() - began < 30.0
    finally:
        await listener.close()


async def test_the_wake_up_is_silent_about_what_is_known(
    event_log: EventLog, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_limits, "POLL_SECONDS", 60.0)
    listener = LogListener(database_url, "test")
    listener.open()
    try:
        await listener.wait()
        for version in range(5):
            await append(event_log, "a", version)
            await listener.wait(after=version)
        await append(event_log, "a", 5)
        began = clock.monotonic()
        await listener.wait(after=6, seconds=0.1)
        assert clock.monotonic() - began >= 0.1
        await listener.wait(after=5)
        listener.wake()
        await listener.wait(after=6)
        assert clock.monotonic() - began < 30.0
    finally:
        await listener.close()


async def test_the_wake_up_rings_again_after_its_line_broke(
    event_log: EventLog,
    database_url: str,
    superuser: AsyncConnection[Row],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_limits, "POLL_SECONDS", 0.01)
    listener = LogListener(database_url, "test")
    listener.open()

    broken: set[int] = set()

    async def is_listening() -> bool:
        cursor = await superuser.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            " AND datname = current_database()"
        )
        pids = {row[0] for row in await cursor.fetchall()} - broken
        if not broken and pids:
            broken.update(pids)
            await superuser.execute("SELECT pg_terminate_backend(%s)", (min(pids),))
            return False
        return bool(pids)

    try:
        await eventually(is_listening)
        await listener.wait()
        monkeypatch.setattr(worker_limits, "POLL_SECONDS", 60.0)
        await append(event_log, "a", 0)
        async with asyncio.timeout(30):
            await listener.wait()
    finally:
        await listener.close()


async def test_no_hot_statement_ever_scans_the_table(
    database_url: str, superuser: AsyncConnection[Row]
) -> None:
    """Every plan is made while the log is empty, as in a new installation, and kept."""
    await superuser.execute("ALTER TABLE log.stored_events SET (autovacuum_enabled = off)")
    async with opened(database_url, "test") as log:
        for number in range(8):
            await use_every_statement(log, f"early-{number}")
        await superuser.execute(POPULATE, {"many": MANY, "head": await log.read_head()})
        await superuser.execute(POPULATE_STORES, {"many": MANY})
        for number in range(8):
            await use_every_statement(log, f"late-{number}")
    await eventually(partial(is_alone, superuser))  # a server process counts until its end
    cursor = await superuser.execute(
        "SELECT relname, seq_tup_read, idx_scan FROM pg_stat_user_tables"
        " WHERE schemaname IN ('log', 'work')"
    )
    counts = {row[0]: row[1:] for row in await cursor.fetchall()}
    for table in ("stored_events", "receipts", "values", "snapshots"):
        rows_of_scans, uses_of_indexes = counts[table]
        assert rows_of_scans < MANY
        assert uses_of_indexes > 16


async def is_alone(connection: AsyncConnection[Row]) -> bool:
    """Whether no other server process has to do with this database."""
    cursor = await connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'"
    )
    return await cursor.fetchone() == (1,)


async def use_every_statement(log: EventLog, stream: str) -> None:
    appended = await append(log, stream, 0, receipt=receipt(stream))
    with pytest.raises(VersionConflict):
        await append(log, stream, 0)
    await append(log, f"between-{stream}", 0)  # so that the next conflict is the database's
    with pytest.raises(VersionConflict):
        await append(log, stream, 0)
    with pytest.raises(ReceiptExists):
        await append(log, f"other-{stream}", 0, receipt=receipt(stream))
    with pytest.raises(VersionConflict):
        await log.append(
            [StreamWrite.of(f"not-{stream}", 0, [granted()])], ORIGIN, None, {stream: 9}
        )
    await whole_stream(log, stream, after=0)
    await log.read_topics(stream, [GRANTED])
    await log.owner_of(stream)
    await log.read_last([stream])
    await log.versions_of([stream])
    await log.read_head()
    await log.read_receipt("ada", stream)
    async with log.pool.connection() as connection:
        await reader.read_page(connection, appended.first - 1, 100)
        await reader.read_excerpt(connection, appended.first - 1, [HELD])
    await log.values.get("ada", await log.values.put("ada", [stream.encode()]))
    await log.snapshots.save(stream, 1, 1, b"")
    await log.snapshots.load(stream, 1)
    await log.snapshots.forget(stream)


async def test_large_events_make_short_pages(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(event_log, "s", 0, *(granted(number) for number in range(1, 10)))
    async with event_log.pool.connection() as connection:
        whole = await reader.read_page(connection, 0)
        sizes = [len(entry.state) for entry in whole]
        monkeypatch.setattr(log_limits, "READ_PAGE_BYTES", sum(sizes[:3]))
        page = await reader.read_page(connection, 0)
        assert page == whole[:3]
        assert reader.is_full(page)
        monkeypatch.setattr(log_limits, "READ_PAGE_BYTES", sum(sizes[:3]) - 1)
        assert await reader.read_page(connection, 0) == whole[:3]
        assert not reader.is_full(await reader.read_page(connection, 8))


async def test_an_excerpt_leaves_out_what_nobody_follows(event_log: EventLog) -> None:
    held = CreditsHeld("a run", 1)
    await append(event_log, "s", 0, granted(1), held, granted(2), held)
    async with event_log.pool.connection() as connection:
        whole = await reader.read_page(connection, 0)
        for unwanted, positions in (([], [1, 2, 3, 4]), ([HELD], [1, 3]), ([GRANTED, HELD], [])):
            found = await reader.read_excerpt(connection, 0, unwanted)
            assert found.events == [entry for entry in whole if entry.position in positions]
            assert (found.last, found.is_full) == (4, False)
        assert await reader.read_excerpt(connection, 3, [HELD]) == Excerpt([], 4, is_full=False)
        assert await reader.read_excerpt(connection, 4, [HELD]) == Excerpt([], 4, is_full=False)


async def test_an_excerpt_is_as_long_as_what_is_wanted_allows(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = CreditsHeld("x" * 1_000, 1)
    await append(event_log, "s", 0, granted(1), held, granted(2), held, granted(3))
    async with event_log.pool.connection() as connection:
        sizes = [len(entry.state) for entry in await reader.read_page(connection, 0)]
        monkeypatch.setattr(log_limits, "READ_PAGE_BYTES", sizes[0] + sizes[2])
        found = await reader.read_excerpt(connection, 0, [HELD])
        assert [entry.position for entry in found.events] == [1, 3]
        assert (found.last, found.is_full) == (3, True)
        monkeypatch.setattr(log_limits, "READ_PAGE_EVENTS", 2)
        found = await reader.read_excerpt(connection, 3, [HELD])
        assert [entry.position for entry in found.events] == [5]
        assert found.is_full
        assert await reader.read_excerpt(connection, 5, [HELD]) == Excerpt([], 5, is_full=False)


async def test_only_what_a_decision_needs_is_read_of_a_stream(event_log: EventLog) -> None:
    held = CreditsHeld("a run", 1)
    await append(event_log, "s", 0, granted(1), held, granted(2), held)
    await append(event_log, "t", 0, granted(3))
    found, version = await event_log.read_topics("s", [GRANTED])
    assert [(entry.version, entry.event) for entry in found] == [(1, granted(1)), (3, granted(2))]
    assert version == 4
    some = [entry for entry in await whole_stream(event_log, "s") if entry.version in {1, 3}]
    assert found == some
    later, _ = await event_log.read_topics("s", {GRANTED, HELD}, after=1)
    assert [entry.version for entry in later] == [2, 3, 4]
    assert await event_log.read_topics("s", []) == ([], 4)
    assert await event_log.read_topics("t", [HELD]) == ([], 1)
    assert await event_log.read_topics("none", [GRANTED]) == ([], 0)
    assert await event_log.read_topics("s", [GRANTED], owner=ORIGIN.owner) == (found, 4)
    assert await event_log.read_topics("s", [GRANTED], owner="another") == ([], 4)
    assert await event_log.read_topics("none", [GRANTED], owner=ORIGIN.owner) == ([], 0)


async def test_a_stream_is_whose_first_event_it_is(event_log: EventLog) -> None:
    await append(event_log, "s", 0, granted(1))
    others = Origin(owner="another", actor="another")
    await event_log.append([StreamWrite.of("s", 1, [granted(2)])], others)
    assert await event_log.owner_of("s") == ORIGIN.owner
    assert await event_log.owner_of("none") is None


async def test_the_ends_of_streams_are_read_as_of_one_moment(event_log: EventLog) -> None:
    assert await event_log.read_last(["a"]) == ({}, 0)
    await append(event_log, "a", 0, granted(1), granted(2))
    await append(event_log, "b", 0, granted(3))
    await append(event_log, "c", 0, granted(4))
    last, head = await event_log.read_last(["b", "a", "none"])
    assert {stream: (entry.version, entry.event) for stream, entry in last.items()} == {
        "a": (2, granted(2)),
        "b": (1, granted(3)),
    }
    assert head == 4
    assert await event_log.read_last([]) == ({}, 4)
    assert await event_log.versions_of(["b", "a", "none"]) == {"a": 2, "b": 1, "none": 0}
    assert await event_log.versions_of([]) == {}


async def test_an_end_is_seen_before_the_head_goes_beyond_it(event_log: EventLog) -> None:
    """Whoever remembers the head misses nothing by looking only at what comes behind it."""
    stop = asyncio.Event()

    async def write() -> None:
        version = 0
        while not stop.is_set():
            await append(event_log, "s", version)
            version += 1

    writer = asyncio.create_task(write())
    try:
        for _ in range(100):
            last, head = await event_log.read_last(["s"])
            assert head == (last["s"].position if last else 0)
            found, version = await event_log.read_topics("s", [GRANTED])
            assert [entry.version for entry in found] == list(range(1, version + 1))
    finally:
        stop.set()
        await writer
