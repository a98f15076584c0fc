"""The library's recorder over group commit: what its own contract tests run against."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import IntegrityError, OperationalError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from domain.errors import Unavailable
from runtime.eventlog.append import Append, Appended, Origin, StreamWrite
from runtime.eventlog.appender import Appender
from runtime.eventlog.epoch import LogEpoch
from runtime.eventlog.errors import AppendError
from runtime.eventlog.mapper import Encoded

LIBRARY = Origin(owner="library", actor="library")


class GroupCommitRecorder(PostgresApplicationRecorder):
    """Reads as the stock recorder does; writes through an Appender.

    The table belongs to the migrations, so there is nothing to create. Synchronous callers, which
    the library has, share one event loop on a thread of its own.
    """

    def __init__(self, datastore: PostgresDatastore, *, database_url: str) -> None:
        super().__init__(datastore, events_table_name="stored_events")
        self.sql_create_statements = []
        self._appender = Appender(database_url, "recorder", LogEpoch().check)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="recorder", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._appender.open(), self._loop).result()

    def close(self) -> None:
        """Stop the writer and its thread."""
        asyncio.run_coroutine_threadsafe(self._appender.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def append(self, stored_events: Sequence[StoredEvent]) -> Appended:
        """Write the events, all or nothing. Raises as Appender.append does."""
        writes = [
            StreamWrite(str(e.originator_id), e.originator_version - 1, [Encoded(e.topic, e.state)])
            for e in stored_events
        ]
        return await self._appender.append(Append(writes, LIBRARY))

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """The library's way in. Raises the library's IntegrityError on a version conflict."""
        if not stored_events:
            return []
        write = asyncio.run_coroutine_threadsafe(self.append(stored_events), self._loop)
        try:
            positions = write.result()
        except AppendError as error:
            raise IntegrityError(str(error)) from error
        except Unavailable as error:
            raise OperationalError(str(error)) from error
        return list(range(positions.first, positions.last + 1))
