"""What callers are told when the database fails in the middle of an append."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from domain.errors import ReadOnly, Unavailable
from domain.limits import log_limits
from migrations.runner import migrate
from runtime import clock
from runtime.database import Row
from runtime.embedded.postgres import PostgresServer
from runtime.eventlog.append import Appended
from runtime.eventlog.errors import OutcomeUnknown, PredecessorMissing, VersionConflict
from runtime.eventlog.log import EventLog, opened
from tests.support import log as logs
from tests.support.log import append, eventually, granted
from tests.support.processes import until
from tests.support.proxy import Proxy

ORDERING_LOCK = 4919201701
SLACK_SECONDS = 2.0


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    query = parse_qs(urlsplit(database_url).query)
    path = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
    async with Proxy(lambda: asyncio.open_unix_connection(path)) as line:
        yield line


@asynccontextmanager
async def through(proxy: Proxy, database_url: str) -> AsyncIterator[EventLog]:
    """A log whose statements are prepared and whose appender's line is the proxy's."""
    log = EventLog(make_conninfo(database_url, host="127.0.0.1", port=proxy.port), "test")
    await log.appender.open()
    try:
        await append(log, "before", 0)
        yield log
    finally:
        await log.appender.close()


class Writer:
    """Appends to a stream of its own, one event after the other, and remembers the answers."""

    def __init__(self, log: EventLog, stream: str) -> None:
        self.log = log
        self.stream = stream
        self.acknowledged: list[Appended] = []
        self.unknown = 0
        self.refused = 0
        self.longest = 0.0

    async def write(self, stop: asyncio.Event) -> None:
        version = 0
        while not stop.is_set():
            began = clock.monotonic()
            try:
                self.acknowledged.append(await append(self.log, self.stream, version))
                version += 1
            except OutcomeUnknown:
                self.unknown += 1
            except Unavailable:
                self.refused += 1
            except VersionConflict:
                # The stream is ours alone: only what was called unknown can have been written.
                assert self.unknown
                version += 1
            finally:
                self.longest = max(self.longest, clock.monotonic() - began)


async def backend(connection: AsyncConnection[Row]) -> int | None:
    """The server process at the other end of the appender's line."""
    cursor = await connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'evergraph test appender'"
        " AND datname = current_database()"
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def kill_another(connection: AsyncConnection[Row], killed: set[int]) -> bool:
    """Terminate the appender's present server process, unless it was terminated before."""
    pid = await backend(connection)
    if pid is None or pid in killed:
        return False
    await connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
    killed.add(pid)
    return True


async def check(connection: AsyncConnection[Row], writers: list[Writer]) -> None:
    """Everything that was acknowledged is where the answer said, and nothing is there twice."""
    written = await logs.check(connection)
    for writer in writers:
        for appended in writer.acknowledged:
            assert written[appended.first - 1][0] == writer.stream
        mine = sum(stream == writer.stream for stream, _ in written)
        assert len(writer.acknowledged) <= mine <= len(writer.acknowledged) + writer.unknown


async def test_backends_that_are_terminated_under_load(
    event_log: EventLog, superuser: AsyncConnection[Row]
) -> None:
    writers = [Writer(event_log, f"s-{number}") for number in range(24)]
    stop = asyncio.Event()
    tasks = [asyncio.create_task(writer.write(stop)) for writer in writers]
    killed: set[int] = set()
    for round_ in range(1, 11):
        enough = round_ * 200
        await until(lambda: sum(len(writer.acknowledged) for writer in writers) > enough)  # noqa: B023
        await eventually(lambda: kill_another(superuser, killed))
    stop.set()
    await asyncio.gather(*tasks)
    assert all(writer.unknown == 0 for writer in writers)
    await check(superuser, writers)


async def test_a_commit_whose_answer_is_lost_is_found_and_not_repeated(
    database_url: str, proxy: Proxy, superuser: AsyncConnection[Row]
) -> None:
    async with through(proxy, database_url) as log:
        proxy.drop_replies()
        calls = [asyncio.create_task(append(log, f"s-{n}", 0, *[granted()] * 3)) for n in range(9)]
        await proxy.dropped.wait()
        committed = len(await logs.check(superuser))
        assert committed == 1 + 9 * 3
        proxy.heal()
        positions = await asyncio.gather(*calls)
        assert len(await logs.check(superuser)) == committed
        assert sorted(appended.first for appended in positions) == list(range(2, committed, 3))
        for number, appended in enumerate(positions):
            [first, *_, last] = await event_positions(superuser, f"s-{number}")
            assert (appended.first, appended.last) == (first, last)


async def event_positions(connection: AsyncConnection[Row], stream: str) -> list[int]:
    cursor = await connection.execute(
        "SELECT notification_id FROM log.stored_events WHERE originator_id = %s ORDER BY 1",
        (stream,),
    )
    return [row[0] for row in await cursor.fetchall()]


async def test_a_line_that_breaks_again_and_again(
    database_url: str, proxy: Proxy, superuser: AsyncConnection[Row]
) -> None:
    async with through(proxy, database_url) as log:
        writers = [Writer(log, f"s-{number}") for number in range(8)]
        stop = asyncio.Event()
        tasks = [asyncio.create_task(writer.write(stop)) for writer in writers]
        for round_ in range(1, 9):
            enough = round_ * 50
            await until(lambda: sum(len(writer.acknowledged) for writer in writers) > enough)  # noqa: B023
            if round_ % 2:
                proxy.drop_replies()
                await proxy.dropped.wait()
                proxy.heal()
            else:
                proxy.cut()
        stop.set()
        await asyncio.gather(*tasks)
    assert all(writer.unknown == 0 for writer in writers)
    await check(superuser, writers)


async def test_a_silent_line_is_given_up_in_time(
    database_url: str,
    proxy: Proxy,
    superuser: AsyncConnection[Row],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_limits, "APPEND_SECONDS_MAX", 0.5)
    monkeypatch.setattr(log_limits, "APPEND_SILENCE_SECONDS_MAX", 0.3)
    async with through(proxy, database_url) as log:
        proxy.blackhole()
        began = clock.monotonic()
        calls = [append(log, f"s-{number}", 0) for number in range(300)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} == {OutcomeUnknown, Unavailable}
        assert clock.monotonic() - began < 0.5 + SLACK_SECONDS
        proxy.heal()
        await append(log, "after", 0)
    await logs.check(superuser)


async def test_a_server_process_that_stands_still_is_passed_by(
    event_log: EventLog, superuser: AsyncConnection[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(event_log, "a", 0)
    monkeypatch.setattr(log_limits, "APPEND_SILENCE_SECONDS_MAX", 0.3)
    pid = await backend(superuser)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        assert await append(event_log, "a", 1) == Appended(2, 2)
    finally:
        os.kill(pid, signal.SIGCONT)

    async def has_ended() -> bool:
        cursor = await superuser.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,))
        return cursor.rowcount == 0

    await eventually(has_ended)
    assert await logs.check(superuser) == [("a", 1), ("a", 2)]


async def test_what_a_silent_server_may_still_write_is_not_called_unwritten(
    event_log: EventLog, superuser: AsyncConnection[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may find the predecessor that the next attempt did not."""
    monkeypatch.setattr(log_limits, "APPEND_SILENCE_SECONDS_MAX", 0.3)
    pid = await backend(superuser)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(OutcomeUnknown):
            await append(event_log, "a", 1)
    finally:
        os.kill(pid, signal.SIGCONT)
    with pytest.raises(PredecessorMissing):
        await append(event_log, "a", 1)
    assert await append(event_log, "a", 0) == Appended(1, 1)


async def test_what_was_called_unknown_may_be_written_later_but_once(
    event_log: EventLog, superuser: AsyncConnection[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(event_log, "a", 0)
    monkeypatch.setattr(log_limits, "APPEND_SECONDS_MAX", 0.2)
    pid = await backend(superuser)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(OutcomeUnknown):
            await append(event_log, "a", 1)
        with pytest.raises(Unavailable, match="nothing was written"):
            await append(event_log, "b", 0)
    finally:
        os.kill(pid, signal.SIGCONT)

    async def has_arrived() -> bool:
        return await event_log.read_head() == 2

    await eventually(has_arrived)
    with pytest.raises(VersionConflict):
        await append(event_log, "a", 1)
    assert await logs.check(superuser) == [("a", 1), ("a", 2)]


async def test_a_lock_that_others_hold_refuses_with_nothing_written(
    database_url: str, superuser: AsyncConnection[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_limits, "APPEND_LOCK_SECONDS_MAX", 0.2)
    async with opened(database_url, "test") as log:
        await superuser.execute("SELECT pg_advisory_lock(%s)", (ORDERING_LOCK,))
        results = await asyncio.gather(
            *(append(log, f"s-{number}", 0) for number in range(9)), return_exceptions=True
        )
        assert [type(result) for result in results] == [Unavailable] * 9
        await superuser.execute("SELECT pg_advisory_unlock(%s)", (ORDERING_LOCK,))
        assert await log.read_head() == 0
        assert await append(log, "s-0", 0) == Appended(1, 1)


async def test_a_database_that_turned_read_only_refuses_with_nothing_written(
    event_log: EventLog, superuser: AsyncConnection[Row]
) -> None:
    name = superuser.info.dbname
    await superuser.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await superuser.execute("SELECT pg_terminate_backend(%s)", (await backend(superuser),))
    with pytest.raises(OutcomeUnknown):  # its first attempt got no answer
        await append(event_log, "a", 0)
    with pytest.raises(ReadOnly):
        await append(event_log, "a", 0)
    await superuser.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    await superuser.execute("SELECT pg_terminate_backend(%s)", (await backend(superuser),))
    assert await append(event_log, "a", 0) == Appended(1, 1)


async def test_a_server_that_crashes_and_comes_back(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_limits, "APPEND_SECONDS_MAX", 1.0)
    data_dir: Path = tmp_path_factory.mktemp("crashing")
    async with PostgresServer(data_dir) as server:
        await migrate(server.migration_url)
        async with opened(server.url, "test") as log:
            writers = [Writer(log, f"s-{number}") for number in range(24)]
            stop = asyncio.Event()
            tasks = [asyncio.create_task(writer.write(stop)) for writer in writers]
            for _ in range(2):
                before = [len(writer.acknowledged) for writer in writers]
                await until(lambda: _all_beyond(writers, before))  # noqa: B023
                assert server.pid is not None
                os.kill(server.pid, signal.SIGQUIT)
                await server.wait()
                refused = sum(writer.refused for writer in writers)
                await until(lambda: sum(writer.refused for writer in writers) > refused)  # noqa: B023
                await server.start()
            before = [len(writer.acknowledged) for writer in writers]
            await until(lambda: _all_beyond(writers, before))
            stop.set()
            await asyncio.gather(*tasks)
        assert max(writer.longest for writer in writers) < 1.0 + SLACK_SECONDS
        async with await AsyncConnection.connect(server.url) as connection:
            await check(connection, writers)


def _all_beyond(writers: list[Writer], counts: list[int]) -> bool:
    return all(
        len(writer.acknowledged) > count for writer, count in zip(writers, counts, strict=True)
    )
