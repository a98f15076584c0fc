"""Runs as a log has them, without any worker, and the wake-ups that are woken up them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from nats.aio.client import Client
from psycopg import AsyncConnection

from domain.events import Event
from domain.runs import (
    Parent,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunStats,
    RunSuspended,
    stream_of,
)
from runtime import nats
from runtime.database import Row
from runtime.eventlog.append import StreamWrite
from runtime.eventlog.log import EventLog, Origin
from runtime.nats import WakeUp
from tests.projections.support import bring_up_to_date

STATS = RunStats()
SECONDS_MAX = 15.0
FETCH_SECONDS = 1.0
RENEW = """
INSERT INTO work.leases (name, worker, expires_at)
VALUES (%(worker)s, %(worker)s, clock_timestamp() + make_interval(secs => %(seconds)s))
"""


class Scene:
    def __init__(
        self, event_log: EventLog, connection: AsyncConnection[Row], client: Client
    ) -> None:
        self.log = event_log
        self.connection = connection
        self.client = client
        self._versions: dict[str, int] = {}

    async def record(self, run_id: str, *events: Event) -> int:
        """Append to the run's stream; the position of the last event."""
        version = self._versions.get(run_id, 0)
        write = StreamWrite.of(stream_of(run_id), version, events)
        appended = await self.log.append([write], Origin(owner="ada", actor="test"))
        self._versions[run_id] = version + len(events)
        return appended.last

    async def create(
        self, *run_ids: str, user: str = "ada", graph: str = "g", parent: str | None = None
    ) -> None:
        above = None if parent is None else Parent(parent, execution=0, depth=1)
        for run_id in run_ids:
            await self.record(run_id, RunCreated(user, graph, 1, {}, 9, parent=above))

    async def claim(self, *run_ids: str, worker: str = "gone") -> None:
        for run_id in run_ids:
            await self.record(run_id, RunClaimed(worker))

    async def suspend(self, run_id: str, until: datetime | None = None, seen: int = 0) -> int:
        return await self.record(run_id, RunSuspended(STATS, until, seen))

    async def end(self, run_id: str, parent: str | None = None) -> int:
        return await self.record(run_id, RunCompleted(STATS, parent))

    async def lease(self, worker: str, seconds: float) -> None:
        await self.connection.execute(RENEW, {"worker": worker, "seconds": seconds})

    async def project(self) -> None:
        """Bring the read models up to the log."""
        await bring_up_to_date(self.connection)

    async def wake_up(self) -> WakeUp:
        """The next wake_up, which is silenced. Raises TimeoutError when there is none."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                with suppress(*nats.NatsError):
                    return await self._next_wake_up()

    async def woken(self, count: int) -> list[str]:
        """The runs of the next wake-ups."""
        return [(await self.wake_up()).run_id for _ in range(count)]

    async def _next_wake_up(self) -> WakeUp:
        jetstream = self.client.jetstream()
        subscription = await jetstream.pull_subscribe_bind(nats.CONSUMER, nats.STREAM)
        try:
            [message] = await subscription.fetch(1, timeout=FETCH_SECONDS)
        finally:
            await subscription.unsubscribe()
        await message.ack()
        return nats.decode_wake_up(message.data)
