"""Pages of streams, many in one statement: what is asked for while one runs shares the next.

One task and one connection a process. No timer: a lone read goes at once, a crowd shares a round
trip. A long stream is read on page by page, each time after whoever came meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolClosed

from domain.limits import log_limits
from runtime import process, sql
from runtime.database import Row
from runtime.eventlog import arrays
from runtime.eventlog.reader import StreamEvent, to_stream_event

SELECT_PAGES = sql.load(__file__, "select_pages")

VERSION, STATE, PLACE = 0, 2, 5
"""Columns: an event's version and its encoded state, and whose row it is."""

NO_END = 2**63 - 1
"""A version that no stream reaches."""


class PageRequest:
    """A page that somebody waits for."""

    __slots__ = ("after", "page", "stream", "upto")

    def __init__(self, stream: str, after: int, upto: int) -> None:
        self.stream = arrays.text_element(stream)
        self.after = arrays.int8_element(after)
        self.upto = arrays.int8_element(upto)
        self.page: asyncio.Future[tuple[list[Row], bool]] = (
            asyncio.get_running_loop().create_future()
        )
        """Rows in order, and whether they fill the page, so that the stream may go on."""

    def answer(self, rows: list[Row], *, is_full: bool) -> None:
        if not self.page.done():
            self.page.set_result((rows, is_full))

    def fail(self, error: Exception) -> None:
        if not self.page.done():
            self.page.set_exception(error)


class PageReader:
    """Reads streams for everybody in this process."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Row]]) -> None:
        self._pool = pool
        self._waiting: asyncio.Queue[PageRequest] = asyncio.Queue()
        self._batch: list[PageRequest] = []
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start to read; the pool must be open."""
        self._task = process.keep_vital(asyncio.create_task(self._serve(), name="page reader"))

    async def close(self) -> None:
        """Stop; whoever still waits gets PoolClosed."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._fail(PoolClosed("the event log was closed"))

    async def pages(
        self, stream: str, after: int, upto: int | None = None
    ) -> AsyncIterator[list[StreamEvent]]:
        """The events with versions above `after` and up to `upto`, in order; no page is empty.

        Raises psycopg.Error and UnknownEventType.
        """
        last = NO_END if upto is None else upto
        is_full = True
        while is_full:
            rows, is_full = await self._ask(PageRequest(stream, after, last))
            if rows:
                after = rows[-1][VERSION]
                yield [to_stream_event(row) for row in rows]

    async def _ask(self, asked: PageRequest) -> tuple[list[Row], bool]:
        if self._task is None:
            raise PoolClosed("the event log is not open")
        self._waiting.put_nowait(asked)
        return await asked.page

    async def _serve(self) -> None:
        while True:
            await self._gather()
            try:
                # Kept until it fails: to fetch it from the pool costs as much as a read.
                async with self._pool.connection() as connection:
                    while True:
                        await _answer(connection, self._batch)
                        await self._gather()
            except Exception as error:  # noqa: BLE001 - those who wait are told
                self._fail(error)

    async def _gather(self) -> None:
        """Wait for reads, and make the next batch of as many as one statement should answer."""
        self._batch = []
        most = log_limits.STREAM_READS_MAX
        while not self._batch or (len(self._batch) < most and not self._waiting.empty()):
            asked = await self._waiting.get()
            if not asked.page.done():
                self._batch.append(asked)

    def _fail(self, error: Exception) -> None:
        """Tell everybody, because those who still wait would else wait for the same in turn."""
        while not self._waiting.empty():
            self._batch.append(self._waiting.get_nowait())
        for asked in self._batch:
            asked.fail(error)


async def _answer(connection: AsyncConnection[Row], batch: Sequence[PageRequest]) -> None:
    count = len(batch)
    page_events = min(log_limits.STREAM_PAGE_EVENTS, log_limits.STREAM_READS_EVENTS // count)
    page_bytes = min(log_limits.STREAM_PAGE_BYTES, log_limits.STREAM_READS_BYTES // count)
    parameters = (
        arrays.TextArray(count, [asked.stream for asked in batch]),
        arrays.Int8Array(count, [asked.after for asked in batch]),
        arrays.Int8Array(count, [asked.upto for asked in batch]),
        page_events,
        page_bytes,
    )
    cursor = await connection.execute(SELECT_PAGES, parameters, binary=True)
    pages: list[list[Row]] = [[] for _ in batch]
    for row in await cursor.fetchall():
        pages[row[PLACE] - 1].append(row)
    for asked, rows in zip(batch, pages, strict=True):
        size = sum(len(row[STATE]) for row in rows)
        asked.answer(rows, is_full=len(rows) >= page_events or size >= page_bytes)
