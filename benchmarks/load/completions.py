"""Who has ended, read from the log itself: asking for each run would cost more than running it."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from psycopg import AsyncConnection

from domain.runs import run_of
from runtime import database
from runtime.database import Row

POLL_SECONDS = 0.002
"""By this much at the most a run's successor is late; the run's own end has its time in the log."""

READ = """
WITH page AS MATERIALIZED (
    SELECT notification_id, originator_id, topic, recorded_at
    FROM log.stored_events
    WHERE notification_id > %s
    ORDER BY notification_id
    LIMIT 5000
)
SELECT max(notification_id),
    array_agg(originator_id) FILTER (WHERE topic = 'runs.RunCompleted@1'),
    array_agg(extract(epoch FROM recorded_at)::float8) FILTER (WHERE topic = 'runs.RunCompleted@1'),
    array_agg(originator_id) FILTER (WHERE topic = 'runs.RunFailed@1')
FROM page
"""


class Completions:
    """Follows the log by polling, from where it stands when this is entered."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._ended: dict[str, float] = {}
        self._awaited: dict[str, asyncio.Future[float]] = {}

    async def __aenter__(self) -> Self:
        self._connection = await database.connect(self._database_url, "benchmark")
        # The plan is made once, while the log is empty and a scan of all of it looks cheap.
        await self._connection.execute("SET enable_seqscan = off")
        head = await self._connection.execute("SELECT max(notification_id) FROM log.stored_events")
        row = await head.fetchone()
        assert row is not None
        self._tail = asyncio.create_task(self._follow(self._connection, row[0] or 0))
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._tail.cancel()
        await asyncio.gather(self._tail, return_exceptions=True)
        await self._connection.close()

    async def of(self, run_id: str) -> float:
        """Wait until the run has completed; when, in seconds since 1970 by the log."""
        if run_id in self._ended:
            return self._ended.pop(run_id)
        awaited: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._awaited[run_id] = awaited
        return await awaited

    async def _follow(self, connection: AsyncConnection[Row], position: int) -> None:
        while True:
            cursor = await connection.execute(READ, (position,), binary=True)
            row = await cursor.fetchone()
            assert row is not None
            last, completed, moments, failed = row
            assert not failed, f"{failed} failed"
            for stream, moment in zip(completed or (), moments or (), strict=True):
                self._end(run_of(stream), moment)
            position = last or position
            await asyncio.sleep(POLL_SECONDS)

    def _end(self, run_id: str, at: float) -> None:
        awaited = self._awaited.pop(run_id, None)
        if awaited is None:
            self._ended[run_id] = at
        else:
            awaited.set_result(at)
