"""Who has ended, read from the log itself: asking for each run would cost more than running it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection

from domain.runs import run_of
from runtime import database
from runtime.database import Row
from runtime.eventlog.log_listener import LogListener

POLL_SECONDS = 0.002
"""By this much at the most the end of one run of many is seen late."""

READ = """
WITH page AS MATERIALIZED (
    SELECT notification_id, originator_id, topic
    FROM log.stored_events
    WHERE notification_id > %s
    ORDER BY notification_id
    LIMIT 5000
)
SELECT max(notification_id),
    array_agg(originator_id) FILTER (WHERE topic LIKE 'runs.RunCompleted@%%'),
    array_agg(originator_id) FILTER (
        WHERE topic LIKE 'runs.RunFailed@%%' OR topic LIKE 'runs.RunTerminated@%%')
FROM page
"""


class Completions:
    """Follows the log over one connection, from where it stands when this is opened."""

    def __init__(
        self, connection: AsyncConnection[Row], growth: Callable[[int], Awaitable[None]]
    ) -> None:
        """`growth` returns when the log may have grown beyond a position."""
        self._connection = connection
        self._growth = growth
        self._ended: dict[str, Exception | None] = {}
        self._awaited: dict[str, asyncio.Future[None]] = {}

    async def open(self) -> None:
        # The plan is made once, while the log is empty and a scan of all of it looks cheap.
        await self._connection.execute("SET enable_seqscan = off")
        cursor = await self._connection.execute(
            "SELECT coalesce(max(notification_id), 0) FROM log.stored_events"
        )
        row = await cursor.fetchone()
        assert row is not None
        self._position: int = row[0]

    async def of(self, run_id: str) -> None:
        """Wait until the run has completed. Raises RuntimeError when it ends in another way."""
        if run_id not in self._ended:
            self._awaited[run_id] = asyncio.get_running_loop().create_future()
            await self._awaited[run_id]
        elif error := self._ended.pop(run_id):
            raise error

    async def follow(self) -> None:
        """Until cancelled. What ends it otherwise ends everybody's waiting too."""
        try:
            while True:
                await self._growth(self._position)
                await self._read()
        except psycopg.Error as error:
            for awaited in self._awaited.values():
                awaited.set_exception(error)

    async def _read(self) -> None:
        cursor = await self._connection.execute(READ, (self._position,), binary=True)
        row = await cursor.fetchone()
        assert row is not None
        last, completed, others = row
        self._position = last or self._position
        self._tell(completed or (), None)
        self._tell(others or (), RuntimeError("a run failed or was stopped"))

    def _tell(self, streams: Iterable[str], error: Exception | None) -> None:
        for run_id in map(run_of, streams):
            awaited = self._awaited.pop(run_id, None)
            if awaited is None:
                self._ended[run_id] = error
            elif error is None:
                awaited.set_result(None)
            else:
                awaited.set_exception(error)


@asynccontextmanager
async def completions(database_url: str, *, prompt: bool) -> AsyncIterator[Completions]:
    """Followed inside the block: by polling, or at once if `prompt`, which costs more."""
    listener = LogListener(database_url, "benchmark")
    async with await database.connect(database_url, "benchmark") as connection:
        found = Completions(connection, listener.wait if prompt else _a_moment)
        await found.open()
        if prompt:
            listener.open()
        tail = asyncio.create_task(found.follow())
        try:
            yield found
        finally:
            tail.cancel()
            await asyncio.gather(tail, return_exceptions=True)
            await listener.close()


async def _a_moment(_position: int) -> None:
    await asyncio.sleep(POLL_SECONDS)
