"""An event log in memory with the contract of the real one; see `test_log_contract.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg_pool import PoolTimeout

from domain import events
from domain.large_values import hash_of
from domain.limits import log_limits
from runtime.eventlog.append import NOTHING_READ, Append, Appended, Origin, Receipt, StreamWrite
from runtime.eventlog.errors import OutcomeUnknown
from runtime.eventlog.mapper import Encoded
from runtime.eventlog.reader import Answered, StreamEvent
from runtime.eventlog.values import ValueMissing
from tests.simulation.connections import Pool, connected
from tests.simulation.database import Line, Server
from tests.simulation.tables import Asked, Row

T = TypeVar("T")


class Epoch:
    """That of a log which is never restored."""

    known = "0" * 16

    async def check(self, _: Any) -> None:
        """It is this one."""


class Reader:
    """Asks the database of its process."""

    def __init__(self, server: Server, pool: Pool) -> None:
        self._server = server
        self._pool = pool

    async def ask(self, work: Callable[[], T]) -> T:
        return await (await self._pool.line()).ask(work)


class MemoryValues(Reader):
    async def put(self, owner: str, values: Sequence[bytes]) -> list[str]:
        hashes = [hash_of(value) for value in values]
        kept = {(owner, name): value for name, value in zip(hashes, values, strict=True)}
        await self.ask(lambda: self._server.tables.values.update(kept))
        return hashes

    async def get(self, owner: str, hashes: Collection[str]) -> dict[str, bytes]:
        """Raises ValueMissing."""
        return await self.ask(lambda: self._find(owner, hashes))

    async def sizes(self, owner: str, hashes: Collection[str]) -> dict[str, int]:
        """Raises ValueMissing."""
        found = await self.get(owner, hashes)
        return {name: len(value) for name, value in found.items()}

    def _find(self, owner: str, hashes: Collection[str]) -> dict[str, bytes]:
        values = self._server.tables.values
        for name in hashes:
            if (owner, name) not in values:
                raise ValueMissing(f"{owner} has no value {name}")
        return {name: values[owner, name] for name in hashes}


class MemorySnapshots(Reader):
    async def load(
        self,
        stream: str,
        format: int,  # noqa: A002 - as the real one has it
        at_most: int | None = None,
    ) -> tuple[int, bytes] | None:
        found = await self.ask(lambda: self._server.tables.snapshots.get(stream))
        if found is None or found[1] != format or (at_most is not None and found[0] > at_most):
            return None
        return found[0], found[2]

    async def save(
        self,
        stream: str,
        version: int,
        format: int,  # noqa: A002 - as the real one has it
        state: bytes,
    ) -> None:
        def upsert() -> None:
            kept = self._server.tables.snapshots.get(stream)
            if kept is None or kept[0] <= version:
                self._server.tables.snapshots[stream] = version, format, state

        await self.ask(upsert)

    async def forget(self, stream: str) -> None:
        await self.ask(lambda: self._server.tables.snapshots.pop(stream, None))


class MemoryLog:
    """The log of one process, over a session for appends and another one for the rest."""

    def __init__(self, server: Server) -> None:
        self.epoch = Epoch()
        self.pool = Pool(server)
        self.values = MemoryValues(server, self.pool)
        self.snapshots = MemorySnapshots(server, self.pool)
        self._server = server
        self._reader = Reader(server, self.pool)
        self._line: Line | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Raises psycopg.OperationalError when the server does not answer."""
        self._line = self._server.connect()

    async def close(self) -> None:
        if self._line is not None:
            self._line.close()

    async def append(
        self,
        writes: Sequence[StreamWrite],
        origin: Origin,
        receipt: Receipt | None = None,
        reads: Mapping[str, int] = NOTHING_READ,
        *,
        can_wait: bool = False,
    ) -> Appended:
        append = Append(writes, origin, receipt, reads)
        asked = Asked(writes, origin, receipt, reads, append.causation)

        def write() -> int:
            first = self._server.tables.append(asked, self._server.moment)
            self._server.notify(first, log_limits.ANNOUNCE_SECONDS if can_wait else 0.0)
            return first

        try:
            async with asyncio.timeout(log_limits.APPEND_SECONDS_MAX), self._turn:
                first = await self._write(write, append)
        except (TimeoutError, PoolTimeout):
            raise OutcomeUnknown from None
        return Appended(first, first + append.count - 1)

    async def _write(self, write: Callable[[], int], append: Append) -> int:
        """Until it is known what became of it: after a lost answer, that is looked up first."""
        stream, version = next(iter(append.heads.items()))

        def look() -> int | None:
            return self._server.tables.written(append.causation, stream, version)

        attempts = 0
        while True:
            attempts += 1
            try:
                line = await self._connected()
                async with asyncio.timeout(log_limits.APPEND_SILENCE_SECONDS_MAX):
                    if attempts > 1:
                        found = await line.ask(look)
                        if found is not None:
                            return found
                    return await line.ask(write)
            except (psycopg.OperationalError, TimeoutError):
                self._hang_up()
                await asyncio.sleep(0.1)

    async def _connected(self) -> Line:
        if self._line is None or self._line.is_over or self._line.is_lost:
            self._line = await connected(self._server, log_limits.APPEND_SECONDS_MAX)
        return self._line

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.hang_up()

    async def stream_pages(
        self, stream: str, after: int = 0, upto: int | None = None
    ) -> AsyncIterator[list[StreamEvent]]:
        while page := await self._ask(partial(self._page, stream, after, upto)):
            after = page[-1].version
            yield [_event(row) for row in page]
            if len(page) < log_limits.STREAM_PAGE_EVENTS:
                return

    async def read_topics(
        self, stream: str, topics: Collection[str], after: int = 0, owner: str | None = None
    ) -> tuple[list[StreamEvent], int]:
        rows = await self._ask(lambda: list(self._rows(stream)))
        is_foreign = owner is not None and bool(rows) and rows[0].owner != owner
        wanted = [_event(row) for row in rows[after:] if row.topic in topics and not is_foreign]
        return wanted, len(rows)

    async def owner_of(self, stream: str) -> str | None:
        return await self._ask(lambda: next((row.owner for row in self._rows(stream)), None))

    async def read_events(self, stream: str, versions: Collection[int]) -> list[StreamEvent]:
        rows = await self._ask(lambda: list(self._rows(stream)))
        return [_event(row) for row in rows if row.version in versions]

    async def read_encoded(self, stream: str, version: int) -> Encoded:
        rows = await self._ask(lambda: list(self._rows(stream)))
        return Encoded(topic=rows[version - 1].topic, state=rows[version - 1].state)

    async def version_at(self, stream: str, moment: datetime) -> int:
        rows = await self._ask(lambda: list(self._rows(stream)))
        return sum(row.recorded_at <= moment for row in rows)

    async def read_last(self, repository: Collection[str]) -> tuple[dict[str, StreamEvent], int]:
        def read() -> tuple[dict[str, Row], int]:
            last = {stream: rows[-1] for stream in repository if (rows := self._rows(stream))}
            return last, self._server.tables.head

        found, head = await self._ask(read)
        return {stream: _event(row) for stream, row in found.items()}, head

    async def versions_of(self, repository: Collection[str]) -> dict[str, int]:
        return await self._ask(
            lambda: {stream: self._server.tables.version_of(stream) for stream in repository}
        )

    async def read_head(self) -> int:
        return await self._ask(lambda: self._server.tables.head)

    async def read_receipt(self, owner: str, key: str) -> Answered | None:
        kept = await self._ask(lambda: self._server.tables.receipts.get((owner, key)))
        if kept is None:
            return None
        return Answered(kept.receipt.request_hash, kept.receipt.answer, kept.position)

    async def _ask(self, work: Callable[[], T]) -> T:
        return await self._reader.ask(work)

    def _rows(self, stream: str) -> Sequence[Row]:
        return self._server.tables.repository.get(stream, [])

    def _page(self, stream: str, after: int, upto: int | None) -> Sequence[Row]:
        end = after + log_limits.STREAM_PAGE_EVENTS
        return self._rows(stream)[after : end if upto is None else min(end, upto)]


def _event(row: Row) -> StreamEvent:
    event = events.decode(row.topic, row.state)
    return StreamEvent(row.version, event, row.position, row.recorded_at, len(row.state))
