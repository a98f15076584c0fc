"""Group commit: whatever arrives while a batch is in flight becomes the next batch.

One task and one dedicated connection a process. No timer: a lone append goes at once, a crowd
shares one lock, one INSERT, one NOTIFY and one fsync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import LiteralString

import psycopg
import structlog
from psycopg import AsyncConnection

from domain.errors import Unavailable
from domain.limits import database_limits, log_limits
from runtime import database, failpoints, outages, process, sql
from runtime.database import Row
from runtime.eventlog import append as appends
from runtime.eventlog import arrays, outcomes
from runtime.eventlog.append import Append, Appended, Origin
from runtime.eventlog.prepared import Prepared
from runtime.eventlog.queue import REFUSED, AppendQueue, Pending

log = structlog.get_logger()

APPEND = sql.load(__file__, "append")

EXPIRE_SECONDS = 0.25
RECONNECT_SECONDS_MIN = 0.02

NOBODY = Origin(owner="", actor="")


class Appender:
    """The one writer of this process."""

    def __init__(self, database_url: str, application: str, check: database.Check) -> None:
        """Each connection is given to `check` before anything is appended over it."""
        self._database_url = database_url
        self._application = application
        self._check = check
        self._queue = AppendQueue()
        self._batch: list[Pending] = []
        self._written: dict[str, int] = {}
        self._known: dict[str, int] = {}
        """Versions written over this connection: the server need not look whether they are there.
        Behind another connection may be a restored backup that does not have them."""
        self._connection: AsyncConnection[Row] | None = None
        self._statement: Prepared | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._unannounced: asyncio.TimerHandle | None = None
        """Tells whoever follows the log of what could wait and was not announced."""

    async def open(self) -> None:
        """Connect and start to write. Raises psycopg.OperationalError or TimeoutError."""
        await self._connect()
        self._tasks = [
            process.keep_vital(asyncio.create_task(self._write_batches(), name="appender")),
            process.keep_vital(asyncio.create_task(self._expire(), name="appender's clock")),
        ]

    async def close(self) -> None:
        """Stop; appends that still wait get OutcomeUnknown or Unavailable."""
        tasks, self._tasks = self._tasks, []
        if self._unannounced is not None:
            self._unannounced.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._queue.abandon(self._batch)
        await self._disconnect()

    async def append(self, append: Append) -> Appended:
        """Write one append and return its positions once it is durable.

        Raises VersionConflict, ReceiptExists or Unavailable when nothing was written, and
        OutcomeUnknown when it may have been, after APPEND_SECONDS_MAX or little more.
        """
        if not self._tasks:
            raise Unavailable(REFUSED)
        return await (await self._queue.put(append))

    async def probe(self) -> None:
        """Find out whether appends are taken, by an append of nothing. Raises Unavailable."""
        await self.append(Append((), NOBODY))

    async def _write_batches(self) -> None:
        while True:
            self._batch = await self._queue.take_batch(self._written)
            self._written = {}
            try:
                await self._write(self._batch)
            except Exception:
                log.exception("append.failed", appends=len(self._batch))
                for pending in self._batch:
                    pending.refuse()

    async def _expire(self) -> None:
        """One clock for all, because a timer for each append would cost as much as the append."""
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            self._queue.expire(self._batch)

    async def _write(self, batch: list[Pending]) -> None:
        """Bring every append of the batch to an end. Never a blind retry: from the second attempt
        on, what may have been decided meanwhile is looked up first.
        """
        waiting, attempts = batch, 0
        while waiting:
            attempts += 1
            try:
                await self._ensure_connected()
                if attempts > 1:
                    waiting = await outcomes.settle(self._ask, waiting)
                if waiting:
                    await self._execute(waiting)
            except psycopg.errors.UniqueViolation:
                continue
            except (psycopg.Error, TimeoutError) as error:
                if outcomes.tell(error, waiting, self._known):
                    waiting = [pending for pending in waiting if pending.is_open]
                    continue
                if _is_refusal(error):
                    await self._isolate(waiting, error)
                    return
                log.warning("append.unanswered", error=str(error), appends=len(waiting))
                await self._disconnect()
                await asyncio.sleep(_pause(attempts))
                waiting = [pending for pending in waiting if pending.is_open]
            else:
                return

    async def _execute(self, batch: Sequence[Pending]) -> None:
        is_announced = not all(pending.append.can_wait for pending in batch)
        parameters = appends.parameters(
            [pending.append for pending in batch],
            [head for _, head in outcomes.unproven(batch, self._known)],
            [read for _, read in outcomes.reads(batch)],
            is_announced=is_announced,
        )
        for pending in batch:
            pending.unanswered += 1
        has_events = any(pending.append.count for pending in batch)
        if has_events:
            failpoints.reach("append.before")
        try:
            position = await self._append(parameters)
        except psycopg.Error as error:
            if _is_refusal(error):
                for pending in batch:
                    pending.unanswered -= 1
            raise
        if has_events:
            failpoints.reach("append.committed")
        self._note(is_announced=is_announced)
        for pending in batch:
            pending.succeed(position + 1)
            position += pending.append.count
            self._written.update(pending.append.tails)
        if len(self._known) > log_limits.APPEND_STREAMS_KNOWN_MAX:
            self._known.clear()
        self._known.update(self._written)

    def _note(self, *, is_announced: bool) -> None:
        """Have an append of nothing say what was not announced, unless another one does before."""
        if is_announced and self._unannounced is not None:
            self._unannounced.cancel()
            self._unannounced = None
        elif not is_announced and self._unannounced is None:
            loop = asyncio.get_running_loop()
            self._unannounced = loop.call_later(log_limits.ANNOUNCE_SECONDS, self._announce)

    def _announce(self) -> None:
        self._unannounced = None
        # If it fails, who follows the log finds out before long.
        self._queue.join(Append((), NOBODY)).add_done_callback(_forget)

    async def _append(self, parameters: Sequence[arrays.Packed]) -> int:
        """The position after which the batch stands. Raises as `_ask`."""
        assert self._statement is not None
        assert self._connection is not None
        statement = self._statement
        seconds = log_limits.APPEND_SILENCE_SECONDS_MAX
        with database.patience(self._connection, seconds, statement.give_up):
            return arrays.int8(await statement.execute(parameters))

    async def _ask(
        self, statement: LiteralString, parameters: Sequence[arrays.PackedArray]
    ) -> list[Row]:
        """Raises psycopg.Error, in bounded time also when the server is silent."""
        assert self._connection is not None
        with database.patience(self._connection, log_limits.APPEND_SILENCE_SECONDS_MAX):
            cursor = await self._connection.execute(statement, parameters, binary=True)
            return await cursor.fetchall()

    async def _isolate(self, batch: list[Pending], error: Exception) -> None:
        """The server refused the batch: find out whose fault it is by writing each alone."""
        outage = outages.of(error)
        if outage is not None or len(batch) == 1:
            log.error("append.refused", error=str(error), appends=len(batch))
            for pending in batch:
                pending.refuse(outage)
            return
        for pending in batch:
            await self._write([pending])

    async def _ensure_connected(self) -> None:
        if self._statement is None:
            await self._disconnect()
            await self._connect()

    async def _connect(self) -> None:
        async with asyncio.timeout(log_limits.APPEND_SILENCE_SECONDS_MAX):
            connection = await database.connect(self._database_url, self._application)
            self._connection = connection
            await self._check(connection)
            # The server shall give up before we do, because then nobody has to wonder.
            await connection.execute(f"SET lock_timeout = '{log_limits.APPEND_LOCK_SECONDS_MAX}s'")
            statement = Prepared(connection, APPEND)
            await statement.prepare()
            self._statement = statement

    async def _disconnect(self) -> None:
        connection, self._connection, self._statement = self._connection, None, None
        self._known.clear()
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()


def _forget(outcome: asyncio.Future[Appended]) -> None:
    if not outcome.cancelled():
        outcome.exception()


def _is_refusal(error: Exception) -> bool:
    """The server said no and goes on. When it ends the session, its last word tells nothing."""
    return isinstance(error, psycopg.Error) and error.diag.severity_nonlocalized == "ERROR"


def _pause(attempts: int) -> float:
    """Seconds before the next attempt, doubling up to a bound."""
    return min(
        RECONNECT_SECONDS_MIN * 2.0**attempts, database_limits.DATABASE_RECONNECT_SECONDS_MAX
    )
