"""Group commit: whatever arrives while a batch is in flight becomes the next batch.

One task and one dedicated connection a process. No timer: a lone append goes at once, a crowd
shares one lock, one INSERT, one NOTIFY and one fsync.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from uuid import UUID

import psycopg
import structlog
from psycopg import AsyncConnection

from domain import limits
from domain.errors import Unavailable
from runtime import clock, database, faults, sql
from runtime.eventlog import append as appends
from runtime.eventlog import arrays
from runtime.eventlog.append import Append, Appended
from runtime.eventlog.errors import OutcomeUnknown, ReceiptExists, VersionConflict

log = structlog.get_logger()

APPEND = sql.load(__file__, "append")
FIND_WRITTEN = sql.load(__file__, "find_written")
FIND_RECEIPTS = sql.load(__file__, "find_receipts")


class Pending:
    """An append that waits for its outcome."""

    __slots__ = ("append", "deadline", "outcome")

    def __init__(self, append: Append, outcome: asyncio.Future[Appended]) -> None:
        self.append = append
        self.outcome = outcome
        self.deadline = clock.monotonic() + limits.APPEND_SECONDS_MAX


class Appender:
    """The one writer of this process."""

    def __init__(self, database_url: str, application: str) -> None:
        self._database_url = database_url
        self._application = application
        self._queue: deque[Pending] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._connection: AsyncConnection[database.Row] | None = None
        self._writer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect and start to write. Raises psycopg.OperationalError."""
        self._connection = await self._connect()
        self._writer = asyncio.create_task(self._write_batches(), name="appender")

    async def close(self) -> None:
        """Stop; appends that still wait get OutcomeUnknown."""
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        if self._connection is not None:
            await self._connection.close()
        for pending in self._queue:
            _fail(pending, OutcomeUnknown())
        self._queue.clear()

    async def append(self, append: Append) -> Appended:
        """Write one append and return its positions once it is durable.

        Raises VersionConflict, ReceiptExists (nothing written) or OutcomeUnknown.
        """
        while len(self._queue) >= limits.APPEND_QUEUE_MAX:
            self._room.clear()
            await self._room.wait()
        outcome: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._queue.append(Pending(append, outcome))
        self._arrived.set()
        return await outcome

    async def _write_batches(self) -> None:
        while True:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            batch = self._take_batch()
            self._room.set()
            try:
                await self._write(batch)
            except asyncio.CancelledError:
                self._queue.extendleft(reversed(batch))
                raise
            except Exception as error:
                log.exception("append.failed", appends=len(batch))
                for pending in batch:
                    _fail(pending, Unavailable(f"the event log failed: {error}"))

    def _take_batch(self) -> list[Pending]:
        """Take what fits, in order; of several appends to one stream only the first."""
        batch: list[Pending] = []
        left: list[Pending] = []
        streams: set[str] = set()
        keys: set[tuple[str, str]] = set()
        events = size = 0
        while self._queue and len(batch) < limits.APPEND_BATCH_APPENDS_MAX:
            pending = self._queue.popleft()
            if pending.outcome.done():
                continue
            append = pending.append
            full = (
                events + append.count > limits.APPEND_EVENTS_MAX
                or size + append.size > limits.APPEND_BYTES_MAX
            )
            if full and batch:
                left.append(pending)
                break
            receipt = append.receipt
            key = (receipt.owner, receipt.key) if receipt is not None else None
            if any(stream in streams for stream, _ in append.heads) or key in keys:
                left.append(pending)
                streams.update(stream for stream, _ in append.heads)
                continue
            streams.update(stream for stream, _ in append.heads)
            if key is not None:
                keys.add(key)
            batch.append(pending)
            events += append.count
            size += append.size
        self._queue.extendleft(reversed(left))
        return batch

    async def _write(self, batch: list[Pending]) -> None:
        waiting = batch
        for _ in range(limits.CONFLICT_RETRIES_MAX):
            if not waiting:
                return
            try:
                await self._execute(waiting)
            except psycopg.errors.UniqueViolation:
                waiting = await self._without_losers(waiting)
            except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
                log.warning("append.connection_lost", error=str(error), appends=len(waiting))
                waiting = await self._after_reconnect(waiting)
            except psycopg.Error as error:
                await self._isolate(waiting, error)
                return
            else:
                return
        for pending in waiting:
            _fail(pending, Unavailable("the event log is too busy"))

    async def _execute(self, batch: Sequence[Pending]) -> None:
        assert self._connection is not None
        parameters = appends.parameters([pending.append for pending in batch])
        faults.reach("append.before")
        async with asyncio.timeout(limits.APPEND_SECONDS_MAX):
            cursor = await self._connection.execute(APPEND, parameters, binary=True)
            row = await cursor.fetchone()
        faults.reach("append.committed")
        assert row is not None
        position: int = row[0]
        for pending in batch:
            first = position + 1
            position += pending.append.count
            if not pending.outcome.done():
                pending.outcome.set_result(Appended(first=first, last=position))

    async def _without_losers(self, batch: list[Pending]) -> list[Pending]:
        """Tell the appends that came too late; return those that may still be written."""
        written = await self._find_written(batch)
        answered = await self._find_receipts(batch)
        rest = []
        for pending in batch:
            if self._settle_if_written(pending, written):
                continue
            receipt = pending.append.receipt
            if receipt is not None and (receipt.owner, receipt.key) in answered:
                _fail(pending, ReceiptExists(receipt.owner, receipt.key))
                continue
            rest.append(pending)
        return rest

    @staticmethod
    def _settle_if_written(pending: Pending, written: _Written) -> bool:
        append = pending.append
        for stream, version in append.heads:
            found = written.get((stream, version))
            if found is None:
                continue
            causation, position = found
            if causation.bytes == append.causation:
                # Ours, from an attempt whose answer was lost; positions of an append are dense
                # and its first row belongs to its first stream.
                if not pending.outcome.done():
                    pending.outcome.set_result(
                        Appended(first=position, last=position + append.count - 1)
                    )
            else:
                _fail(pending, VersionConflict(stream, version))
            return True
        return False

    async def _find_written(self, batch: Sequence[Pending]) -> _Written:
        heads = [head for pending in batch for head in pending.append.heads]
        assert self._connection is not None
        cursor = await self._connection.execute(
            FIND_WRITTEN,
            (
                arrays.TextArray(len(heads), [arrays.text_element(stream) for stream, _ in heads]),
                arrays.Int8Array(len(heads), [arrays.int8_element(v) for _, v in heads]),
            ),
            binary=True,
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in await cursor.fetchall()}

    async def _find_receipts(self, batch: Sequence[Pending]) -> set[tuple[str, str]]:
        receipts = [pending.append.receipt for pending in batch]
        keys = [(receipt.owner, receipt.key) for receipt in receipts if receipt is not None]
        if not keys:
            return set()
        assert self._connection is not None
        cursor = await self._connection.execute(
            FIND_RECEIPTS,
            (
                arrays.TextArray(len(keys), [arrays.text_element(owner) for owner, _ in keys]),
                arrays.TextArray(len(keys), [arrays.text_element(key) for _, key in keys]),
            ),
            binary=True,
        )
        return {(row[0], row[1]) for row in await cursor.fetchall()}

    async def _isolate(self, batch: list[Pending], error: psycopg.Error) -> None:
        """The server refused the batch: find out whose fault it is by writing each alone."""
        if len(batch) == 1:
            log.error("append.refused", error=str(error))
            _fail(batch[0], Unavailable(f"the event log refused the append: {error}"))
            return
        for pending in batch:
            await self._write([pending])

    async def _after_reconnect(self, batch: list[Pending]) -> list[Pending]:
        """Connect again, then look up what had been committed; never a blind retry.

        Trying the rest again is safe even if the old server process were still at work: it holds
        the ordering lock, and our versions and causation tell afterwards whose rows those are.
        """
        await self._reconnect(batch)
        written = await self._find_written(batch)
        return [
            pending
            for pending in batch
            if not pending.outcome.done() and not self._settle_if_written(pending, written)
        ]

    async def _reconnect(self, batch: list[Pending]) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                await self._connection.close()
        delay = 0.02
        while True:
            try:
                self._connection = await self._connect()
            except (psycopg.OperationalError, TimeoutError):
                self._expire((*batch, *self._queue))
                await asyncio.sleep(delay)
                delay = min(delay * 2, limits.DATABASE_RECONNECT_SECONDS_MAX)
            else:
                return

    @staticmethod
    def _expire(waiting: Sequence[Pending]) -> None:
        now = clock.monotonic()
        for pending in waiting:
            if pending.deadline < now:
                _fail(pending, OutcomeUnknown())

    async def _connect(self) -> AsyncConnection[database.Row]:
        async with asyncio.timeout(limits.APPEND_SECONDS_MAX):
            connection = await database.connect(self._database_url, self._application)
        for cls, dumper in arrays.DUMPERS:
            connection.adapters.register_dumper(cls, dumper)
        return connection


_Written = dict[tuple[str, int], tuple[UUID, int]]


def _fail(pending: Pending, error: Exception) -> None:
    if not pending.outcome.done():
        pending.outcome.set_exception(error)
