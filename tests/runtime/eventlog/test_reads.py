"""What an append was decided on is still so where it stands in the log, or it is refused."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from domain.credits import CreditsHeld
from runtime.eventlog import reader
from runtime.eventlog.append import Appended, StreamWrite
from runtime.eventlog.errors import PredecessorMissing, ReadOutdated, VersionConflict
from runtime.eventlog.log import EventLog, opened
from tests.support import log as logs
from tests.support.log import ORIGIN, append, granted, receipt

WORKERS = 12
ROUNDS = 40
READ = ["r-0", "r-1", "r-2"]


async def decided(
    log: EventLog, stream: str, reads: dict[str, int], *, key: str | None = None
) -> Appended:
    """Begin `stream`, as was decided on `reads`."""
    write = StreamWrite.of(stream, 0, [granted()])
    return await log.append([write], ORIGIN, receipt(key) if key else None, reads)


async def streams_of(log: EventLog) -> list[str]:
    async with log.pool.connection() as connection:
        return [stream for stream, _ in await logs.check(connection)]


async def test_what_was_read_must_be_the_last(event_log: EventLog) -> None:
    for version in range(3):
        await append(event_log, "read", version)
    assert await decided(event_log, "a", {"read": 3}) == Appended(4, 4)
    for version in (1, 2, 4, 9):
        with pytest.raises(ReadOutdated, match=f"read is not at version {version}"):
            await decided(event_log, "b", {"read": version}, key="key")
    with pytest.raises(ReadOutdated, match="none is not at version 1"):
        await decided(event_log, "b", {"read": 3, "none": 1})
    assert await event_log.read_receipt(ORIGIN.owner, "key") is None
    assert await streams_of(event_log) == ["read"] * 3 + ["a"]


async def test_who_read_too_early_fails_alone(event_log: EventLog) -> None:
    await append(event_log, "read", 0)
    await append(event_log, "read", 1)
    await event_log.read_head()
    results = await asyncio.gather(
        decided(event_log, "a", {"read": 2}),
        decided(event_log, "b", {"read": 1}),
        append(event_log, "c", 7),
        append(event_log, "read", 0),
        decided(event_log, "d", {"read": 2}),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [
        Appended,
        ReadOutdated,
        PredecessorMissing,
        VersionConflict,
        Appended,
    ]
    assert sorted(await streams_of(event_log)) == ["a", "d", "read", "read"]


async def test_who_reads_and_who_writes_do_not_share_a_batch(event_log: EventLog) -> None:
    await append(event_log, "read", 0)
    reader, writer = await asyncio.gather(
        decided(event_log, "a", {"read": 1}), append(event_log, "read", 1)
    )
    assert (reader, writer) == (Appended(2, 2), Appended(3, 3))
    results = await asyncio.gather(
        append(event_log, "read", 2),
        decided(event_log, "b", {"read": 2}),
        return_exceptions=True,
    )
    assert results[0] == Appended(4, 4)
    assert isinstance(results[1], ReadOutdated)


async def test_every_decision_stands_where_it_was_true(
    event_log: EventLog, database_url: str
) -> None:
    """Two processes write what others read. Each decision names what it read in its own event."""
    seed = random.randrange(1_000_000)
    print(f"{seed=}")
    chance = random.Random(seed)
    known: Counter[str] = Counter()
    refused = 0

    async def work(log: EventLog, worker: int) -> None:
        nonlocal refused
        for round_ in range(ROUNDS):
            stream = chance.choice(READ)
            try:
                if chance.random() < 0.3 or not known[stream]:
                    version = known[stream]
                    await append(log, stream, version)
                    known[stream] = max(known[stream], version + 1)
                else:
                    held = CreditsHeld(stream, known[stream])
                    write = StreamWrite.of(f"{worker}-{round_}", 0, [held])
                    await log.append([write], ORIGIN, reads={stream: known[stream]})
            except VersionConflict:
                refused += 1
                known[stream] = (await log.versions_of([stream]))[stream]

    async with opened(database_url, "second") as second:
        workers = [work(log, n) for n, log in enumerate([event_log, second] * (WORKERS // 2))]
        await asyncio.gather(*workers)
    assert refused > 0
    seen: Counter[str] = Counter()
    decisions = 0
    for stream, event in await events_of(event_log):
        if isinstance(event, CreditsHeld):
            decisions += 1
            assert seen[event.hold] == event.amount
        else:
            seen[stream] += 1
    assert decisions > 0


async def events_of(log: EventLog) -> list[tuple[str, object]]:
    async with log.pool.connection() as connection:
        page = await reader.read_page(connection, 0, WORKERS * ROUNDS)
    return [(entry.stream, entry.decode()) for entry in page]
