"""The relay: passes the log on to NATS, in order.

Each new run rings the executors' bell, and every event goes out to the processes that hold
sockets. The checkpoint is saved now and then, so after a crash some of it is said twice;
whoever listens goes by positions and ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog
from nats.aio.client import Client
from psycopg import AsyncConnection

from domain import events, limits
from domain.runs import RunCreated, run_of
from runtime import clock, database, faults, nats, sql
from runtime.database import Row
from runtime.embedded.nats import nats_url
from runtime.embedded.postgres import database_url
from runtime.eventlog import reader
from runtime.eventlog.bell import LogBell
from runtime.eventlog.reader import LogEvent
from runtime.process import stop_if_cancelled
from runtime.settings import Settings
from workers.leader import leading

log = structlog.get_logger()

CHECKPOINT = "relay"
LOAD = sql.load(__file__, "load_relay_checkpoint")
SAVE = sql.load(__file__, "save_relay_checkpoint")
SAVE_SECONDS = 1.0
FLUSH_SECONDS = 5

_RING = events.topic_of(RunCreated)
_encode = msgspec.msgpack.Encoder().encode


class Relay:
    """The place in the log up to which NATS has been told."""

    def __init__(self, connection: AsyncConnection[Row], client: Client) -> None:
        self._connection = connection
        self._client = client
        self._position = 0
        self._saved = 0
        self._saved_at = clock.monotonic()

    async def open(self) -> None:
        """Load the checkpoint; a new relay begins at the beginning."""
        cursor = await self._connection.execute(LOAD, (CHECKPOINT,))
        row = await cursor.fetchone()
        self._position = self._saved = row[0] if row else 0

    async def step(self) -> bool:
        """Pass one page on; returns whether the log may go on. Raises NatsError or GapFound.

        The page counts as passed on when NATS has answered a flush behind it.
        """
        page = await reader.read_page(
            self._connection, self._position, limits.FEED_BATCH_EVENTS_MAX
        )
        faults.reach("relay.read")
        if page:
            await self._publish(page)
            await self._client.flush(FLUSH_SECONDS)
            faults.reach("relay.published")
            self._position = page[-1].position
        await self._save_sometimes()
        return reader.is_full(page, limits.FEED_BATCH_EVENTS_MAX)

    async def _publish(self, page: Sequence[LogEvent]) -> None:
        for entry in page:
            if entry.topic == _RING:
                await self._client.publish(nats.READY_SUBJECT, run_of(entry.stream).encode())
        for batch in split(page):
            await self._client.publish(nats.LIVE_SUBJECT, _encode(batch))

    async def _save_sometimes(self) -> None:
        is_due = clock.monotonic() - self._saved_at > SAVE_SECONDS
        if is_due and self._saved != self._position:
            await self._connection.execute(SAVE, (CHECKPOINT, self._position))
            self._saved = self._position
            self._saved_at = clock.monotonic()


def split(page: Sequence[LogEvent]) -> list[list[LogEvent]]:
    """The page in contiguous batches, none larger than a message may be.

    An event that is too large for any message goes without its state; who needs it reads the log.
    """
    batches: list[list[LogEvent]] = [[]]
    size = 0
    for entry in page:
        if len(entry.state) > limits.FEED_BATCH_BYTES_MAX:
            entry = msgspec.structs.replace(entry, state=b"")  # noqa: PLW2901
        if size + len(entry.state) > limits.FEED_BATCH_BYTES_MAX and batches[-1]:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += len(entry.state)
    return batches


async def serve(settings: Settings) -> None:
    """Run until cancelled."""
    url = database_url(settings)
    client = await nats.connect(nats_url(settings), "relay")
    bell = LogBell(url, "relay")
    bell.open()
    try:
        while True:
            try:
                await _relay(url, client, bell)
            except (*database.LOST, *nats.NatsError) as error:
                log.warning("relay.interrupted", error=repr(error))
            await asyncio.sleep(nats.RECONNECT_SECONDS)
    finally:
        await client.close()
        await bell.close()


async def _relay(url: str, client: Client, bell: LogBell) -> None:
    async with leading(url, "relay") as connection:
        await nats.ensure_stream(client)
        relay = Relay(connection, client)
        await relay.open()
        while True:
            is_behind = await relay.step()
            stop_if_cancelled()
            if not is_behind:
                await bell.wait()
