"""The event log of one process: one writer, a few readers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from domain.events import Event
from runtime import database, ids
from runtime.eventlog import reader
from runtime.eventlog.append import Append, Appended, Receipt, Row
from runtime.eventlog.appender import Appender
from runtime.eventlog.mapper import Encoded, to_encoded
from runtime.eventlog.reader import StreamEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class StreamWrite(msgspec.Struct, frozen=True):
    """Events for one stream, which is believed to be at version `expected`."""

    stream: str
    expected: int
    events: Sequence[Encoded]

    @classmethod
    def of(cls, stream: str, expected: int, events: Sequence[Event]) -> StreamWrite:
        """Encode the events. Raises Invalid for values that cannot be stored."""
        return cls(stream=stream, expected=expected, events=[to_encoded(e) for e in events])


class Origin(msgspec.Struct, frozen=True):
    """Whose events, by whom, on what occasion.

    `owner` is the tenant, `actor` a user's id or `worker:<name>`, `correlation` the request or
    run that everything with the same value belongs to.
    """

    owner: str
    actor: str
    correlation: UUID | None = None


class EventLog:
    """Append to the log and read it. Open once a process."""

    def __init__(self, database_url: str, application: str) -> None:
        self.database_url = database_url
        self.pool = database.pool(database_url, application)
        self.appender = Appender(database_url, f"{application} appender")

    async def open(self) -> None:
        """Connect. Raises psycopg.OperationalError when the server does not answer."""
        await self.appender.open()
        await self.pool.open()

    async def close(self) -> None:
        await self.appender.close()
        await self.pool.close()

    async def append(
        self, writes: Sequence[StreamWrite], origin: Origin, receipt: Receipt | None = None
    ) -> Appended:
        """Write all or nothing, and return when it is durable.

        Raises VersionConflict or ReceiptExists (nothing was written), or OutcomeUnknown when the
        database went away.
        """
        rows = [
            Row(
                stream=write.stream,
                version=write.expected + number,
                topic=event.topic,
                state=event.state,
            )
            for write in writes
            for number, event in enumerate(write.events, 1)
        ]
        return await self.appender.append(
            Append(
                rows,
                owner=origin.owner,
                actor=origin.actor,
                causation=ids.new_id_bytes(),
                correlation=origin.correlation,
                receipt=receipt,
            )
        )

    async def read_stream(self, stream: str, after: int = 0) -> list[StreamEvent]:
        """All events of `stream` with a version above `after`, in order."""
        async with self.pool.connection() as connection:
            return await reader.read_stream(connection, stream, after)

    async def read_head(self) -> int:
        """The last position, 0 for an empty log."""
        async with self.pool.connection() as connection:
            return await reader.read_head(connection)

    async def read_receipt(self, owner: str, key: str) -> tuple[bytes, bytes] | None:
        """Request hash and answer kept under an idempotency key."""
        async with self.pool.connection() as connection:
            return await reader.read_receipt(connection, owner, key)


@asynccontextmanager
async def opened(database_url: str, application: str) -> AsyncIterator[EventLog]:
    """An EventLog that is open inside the `async with`."""
    log = EventLog(database_url, application)
    await log.open()
    try:
        yield log
    finally:
        await log.close()
