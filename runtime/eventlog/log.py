"""The event log of one process: one writer, a few readers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from runtime import database
from runtime.eventlog import reader
from runtime.eventlog.append import Append, Appended, Origin, Receipt, StreamWrite
from runtime.eventlog.appender import Appender
from runtime.eventlog.reader import Answered, StreamEvent

__all__ = ["EventLog", "Origin", "StreamWrite", "opened"]


class EventLog:
    """Append to the log and read it. Open once a process."""

    def __init__(self, database_url: str, application: str) -> None:
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

        Raises Invalid, VersionConflict, ReceiptExists or Unavailable when nothing was written,
        and OutcomeUnknown when the database went away.
        """
        return await self.appender.append(Append(writes, origin, receipt))

    async def read_stream(self, stream: str, after: int = 0) -> list[StreamEvent]:
        """All events of `stream` with a version above `after`, in order."""
        async with self.pool.connection() as connection:
            return await reader.read_stream(connection, stream, after)

    async def read_head(self) -> int:
        """The last position, 0 for an empty log."""
        async with self.pool.connection() as connection:
            return await reader.read_head(connection)

    async def read_receipt(self, owner: str, key: str) -> Answered | None:
        """What was answered under an idempotency key."""
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
