"""The event log of one process: one writer, a few readers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from domain.limits import database_limits
from runtime import database
from runtime.eventlog import reader
from runtime.eventlog.append import NOTHING_READ, Append, Appended, Origin, Receipt, StreamWrite
from runtime.eventlog.appender import Appender
from runtime.eventlog.checkpoints import Checkpoints
from runtime.eventlog.epoch import LogEpoch
from runtime.eventlog.mapper import Encoded
from runtime.eventlog.pages import PageReader
from runtime.eventlog.reader import Answered, StreamEvent
from runtime.eventlog.snapshots import Snapshots
from runtime.eventlog.values import ValueStore

__all__ = ["EventLog", "Origin", "StreamWrite", "opened"]


class EventLog:
    """Append to the log and read it. Open once a process."""

    def __init__(
        self,
        database_url: str,
        application: str,
        statement_seconds: float = database_limits.DATABASE_STATEMENT_SECONDS_MAX,
    ) -> None:
        """`statement_seconds` are what a statement beside the appends may take."""
        self.epoch = LogEpoch()
        self.pool = database.pool(database_url, application, self.epoch.check, statement_seconds)
        self.appender = Appender(database_url, f"{application} appender", self.epoch.check)
        self.values = ValueStore(self.pool)
        self.snapshots = Snapshots(self.pool)
        self.checkpoints = Checkpoints(self.pool)
        self._pages = PageReader(self.pool)

    async def open(self) -> None:
        """Connect. Raises psycopg.OperationalError when the server does not answer."""
        await self.appender.open()
        await self.pool.open()
        self._pages.open()

    async def close(self) -> None:
        await self.appender.close()
        await self._pages.close()
        await self.pool.close()

    async def append(
        self,
        writes: Sequence[StreamWrite],
        origin: Origin,
        receipt: Receipt | None = None,
        reads: Mapping[str, int] = NOTHING_READ,
        *,
        can_wait: bool = False,
    ) -> Appended:
        """Write all or nothing, and return when it is durable.

        `reads` are streams that are not written to and must be at these versions, from 1 on. With
        `can_wait` whoever follows the log hears of it up to ANNOUNCE_SECONDS later.
        Raises Invalid, VersionConflict, ReceiptExists or Unavailable when nothing was written,
        and OutcomeUnknown when the database went away.
        """
        assert writes, "an append has events"
        return await self.appender.append(Append(writes, origin, receipt, reads, can_wait=can_wait))

    def stream_pages(
        self, stream: str, after: int = 0, upto: int | None = None
    ) -> AsyncIterator[list[StreamEvent]]:
        """The events of `stream` with versions above `after` and up to `upto`, in order, in pages
        that are never empty: of a long stream no more than one is in memory, and others run
        between them.
        """
        return self._pages.pages(stream, after, upto)

    async def read_topics(
        self, stream: str, topics: Collection[str], after: int = 0, owner: str | None = None
    ) -> tuple[list[StreamEvent], int]:
        """The events of `stream` after version `after` that have one of the topics, and the
        version that the stream had at that moment, 0 when it had none.

        The server looks at each event after `after`; only those are sent. Of a stream that is not
        the named owner's it looks at none, so that costs what one costs that is not there.
        """
        async with self.pool.connection() as connection:
            return await reader.read_topics(connection, stream, topics, after, owner)

    async def owner_of(self, stream: str) -> str | None:
        """Whose the stream is, None where there is none. It costs the same for both."""
        async with self.pool.connection() as connection:
            return await reader.read_owner(connection, stream)

    async def read_events(self, stream: str, versions: Collection[int]) -> list[StreamEvent]:
        """The events of `stream` with these versions, in order; the caller knows their sizes."""
        async with self.pool.connection() as connection:
            return await reader.read_events(connection, stream, versions)

    async def read_encoded(self, stream: str, version: int) -> Encoded:
        """An event that is known to be there, as the log holds it, to be weighed before it is
        decoded.
        """
        async with self.pool.connection() as connection:
            return await reader.read_encoded(connection, stream, version)

    async def version_at(self, stream: str, moment: datetime) -> int:
        """The version of `stream` at a moment by the database's clock, 0 before its first."""
        async with self.pool.connection() as connection:
            return await reader.read_version_at(connection, stream, moment)

    async def read_last(self, streams: Collection[str]) -> tuple[dict[str, StreamEvent], int]:
        """The last event of each stream that has any, and the log's last position, both as of
        one moment.
        """
        async with self.pool.connection() as connection:
            return await reader.read_last(connection, streams)

    async def versions_of(self, streams: Collection[str]) -> dict[str, int]:
        """The present version of each stream, 0 where there is none."""
        async with self.pool.connection() as connection:
            return await reader.read_versions(connection, streams)

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
