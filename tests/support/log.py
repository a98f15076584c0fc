"""Writing to a log, and what must be true of any log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from psycopg import AsyncConnection

from domain.credits import CreditsGranted
from domain.events import Event
from runtime.database import Row
from runtime.eventlog.append import Appended, Receipt
from runtime.eventlog.log import EventLog, Origin, StreamWrite
from runtime.eventlog.reader import StreamEvent

ORIGIN = Origin(owner="ada", actor="ada")


def granted(amount: int = 1, reason: str = "test") -> CreditsGranted:
    return CreditsGranted(amount=amount, reason=reason)


async def append(
    log: EventLog, stream: str, expected: int, *events: Event, receipt: Receipt | None = None
) -> Appended:
    """Write `events`, or one that hardly matters, to one stream."""
    write = StreamWrite.of(stream, expected, events or (granted(),))
    return await log.append([write], ORIGIN, receipt)


async def whole_stream(log: EventLog, stream: str, after: int = 0) -> list[StreamEvent]:
    """All events of a stream with a version above `after`."""
    return [event async for page in log.stream_pages(stream, after) for event in page]


def receipt(key: str, answer: bytes = b"{}", owner: str = ORIGIN.owner) -> Receipt:
    return Receipt(owner=owner, key=key, request_hash=b"hash", answer=answer)


async def check(connection: AsyncConnection[Row]) -> list[tuple[str, int]]:
    """Positions are 1 to N, the versions of each stream too. Returns (stream, version) in order."""
    cursor = await connection.execute(
        "SELECT notification_id, originator_id, originator_version FROM log.stored_events"
        " ORDER BY notification_id"
    )
    versions: Counter[str] = Counter()
    written = []
    for expected, (position, stream, version) in enumerate(await cursor.fetchall(), 1):
        assert position == expected
        versions[stream] += 1
        assert version == versions[stream]
        written.append((stream, version))
    return written


async def eventually(condition: Callable[[], Awaitable[object]], *, seconds: float = 10.0) -> None:
    """Return as soon as `condition()` holds. Raises TimeoutError when it takes too long."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
