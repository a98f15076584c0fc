"""The log under everything at once: writers, conflicts, rollbacks, deaths, and a reader behind."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Sequence

import psycopg
import pytest
from psycopg import AsyncConnection

from runtime import database
from runtime.database import Row
from runtime.eventlog import reader
from runtime.eventlog.log import EventLog, opened
from runtime.eventlog.reader import LogEvent
from tests.properties.writer import STREAMS, Writer
from tests.support import log as logs

Answer = tuple[str, int, int]
"""A stream, and the first and last position that an append to it was told."""

RAW_APPEND = """
SELECT log.append(ARRAY[%(stream)s], ARRAY[%(version)s::bigint], ARRAY['credits.CreditsGranted@1'],
    ARRAY['{"amount":1,"reason":""}'::bytea], ARRAY['ada'], ARRAY['ada'],
    ARRAY[gen_random_uuid()], ARRAY[NULL::uuid], '{}', '{}', '{}', '{}', '{}',
    ARRAY(SELECT %(stream)s WHERE %(version)s > 1),
    ARRAY(SELECT %(version)s::bigint - 1 WHERE %(version)s > 1), '{}', '{}', true)
"""


class Tail:
    """Follows the log by `position > last`, and remembers what it saw."""

    def __init__(self, connection: AsyncConnection[Row]) -> None:
        self._connection = connection
        self.seen: list[LogEvent] = []

    async def follow(self, writing: Awaitable[object]) -> None:
        """Read until the writing has ended and nothing is left. Raises GapFound."""
        writers = asyncio.ensure_future(writing)
        while True:
            is_over = writers.done()
            page = await reader.read_page(self._connection, len(self.seen), 50)
            self.seen += page
            if is_over and not page:
                break
        await writers


async def write_and_roll_back(database_url: str, seed: int, times: int) -> None:
    """Transactions that append, keep everybody waiting, and then mostly change their mind."""
    chance = random.Random(seed)
    async with await database.connect(database_url, "rollbacks") as connection:
        for _ in range(times):
            stream = chance.choice(STREAMS)
            cursor = await connection.execute(
                "SELECT count(*) FROM log.stored_events WHERE originator_id = %s", (stream,)
            )
            [(version,)] = await cursor.fetchall()
            try:
                async with connection.transaction(force_rollback=chance.random() < 0.8):
                    await connection.execute(RAW_APPEND, {"stream": stream, "version": version + 1})
                    for _ in range(chance.randrange(50)):
                        await connection.execute("SELECT 1")
            except psycopg.errors.UniqueViolation:
                continue


async def write_many(log: EventLog, seed: int, times: int) -> list[Answer]:
    writer = Writer(log, seed)
    answers = [await writer.write() for _ in range(times)]
    return [answer for answer in answers if answer is not None]


async def check(connection: AsyncConnection[Row], answers: Sequence[Answer]) -> None:
    """The log is sound, and everything that was answered is where the answer said."""
    written = await logs.check(connection)
    for stream, first, last in answers:
        assert written[first - 1][0] == stream
        assert last <= len(written)


@pytest.mark.parametrize("seed", range(3))
async def test_no_reader_ever_misses_an_event(
    event_log: EventLog, database_url: str, seed: int
) -> None:
    async with (
        await database.connect(database_url, "tail") as connection,
        opened(database_url, "second") as second,
        opened(database_url, "third") as third,
    ):
        tail = Tail(connection)
        writing = asyncio.gather(
            *(
                write_many(log, seed * 100 + number, 40)
                for number, log in enumerate([event_log, second, third] * 4)
            )
        )
        rolling_back = asyncio.gather(
            *(write_and_roll_back(database_url, seed * 10 + number, 25) for number in range(2))
        )
        await tail.follow(asyncio.gather(writing, rolling_back))
        answers = [answer for some in await writing for answer in some]
        assert len(answers) > 50
        await check(connection, answers)
        cursor = await connection.execute(
            "SELECT originator_id, originator_version FROM log.stored_events"
            " ORDER BY notification_id"
        )
        assert [(entry.stream, entry.version) for entry in tail.seen] == await cursor.fetchall()


async def test_processes_that_write_and_die(database_url: str) -> None:
    async with await database.connect(database_url, "tail") as connection:
        tail = Tail(connection)
        processes = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.properties.writer", database_url, str(seed), "60"),
                stdout=asyncio.subprocess.PIPE,
            )
            for seed in range(4)
        ]

        async def answered(process: asyncio.subprocess.Process, victim: bool) -> list[Answer]:
            answers: list[Answer] = []
            assert process.stdout is not None
            async for line in process.stdout:
                stream, first, last = line.decode().split()
                answers.append((stream, int(first), int(last)))
                if victim and len(answers) == 20:
                    process.kill()
            assert await process.wait() == (-9 if victim else 0)
            return answers

        writing = asyncio.gather(
            *(answered(process, process is processes[0]) for process in processes)
        )
        await tail.follow(writing)
        await check(connection, [answer for some in await writing for answer in some])
        assert len(tail.seen) == await reader.read_head(connection)
