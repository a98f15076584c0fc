"""What the handlers of one API process share."""

from __future__ import annotations

import asyncio
from typing import Any

from api.feed import Feed
from api.health.checkup import Checkup
from api.http.auth import Verifier
from domain.limits import log_limits, memory_limits, request_limits
from domain.storage import Quota
from projections import freshness
from projections.runs.views import Views
from runtime import clock
from runtime.aggregates.repository import Done, Repository
from runtime.aggregates.run_repository import RunRepository
from runtime.backlog import Backlog
from runtime.broker import Broker
from runtime.cache import BoundedCache
from runtime.embedded.postgres import database_url
from runtime.eventlog.log import EventLog
from runtime.settings import Settings


class Services:
    """Opened with the application, closed with it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.verifier = Verifier(settings)
        self.log = EventLog(database_url(settings), "api", request_limits.READ_SECONDS_MAX)
        self.repository = Repository(self.log)
        self.quota = Quota(
            graphs=settings.graphs_per_user,
            versions=settings.versions_per_graph,
            bytes=settings.stored_bytes_per_user,
        )
        self.runs = RunRepository(self.repository)
        self.views = Views(self.runs)
        self.answers = Backlog(memory_limits.ANSWERS_BYTES_MAX)
        self.feed = Feed(self.log)
        self.broker = Broker(settings, "api")
        self.checkup = Checkup(self.log, self.broker)
        self._written: BoundedCache[str, int] = BoundedCache(log_limits.STATE_CACHE_STREAMS_MAX)

    async def open(self) -> None:
        """Connect to the database; to NATS whenever it comes, since commands do not need it.

        Raises psycopg.OperationalError.
        """
        await self.log.open()
        await self.feed.open()
        self.broker.open()
        await self.feed.attach(self.broker)

    async def close(self) -> None:
        self.checkup.close()
        await self.feed.close()
        await self.broker.close()
        await self.log.close()

    def note(self, user_id: str, done: Done[Any]) -> None:
        """Remember what a user wrote here, so that the user's next list shows it."""
        if done.position is not None:
            self._written.put(user_id, done.position)

    async def catch_up(self, user_id: str, at_least: int | None = None) -> None:
        """Wait, briefly, until lists show what this user wrote, or position `at_least`."""
        wanted = max(self._written.get(user_id) or 0, at_least or 0)
        if wanted == 0:
            return
        deadline = clock.monotonic() + request_limits.READ_YOUR_WRITES_SECONDS_MAX
        delay = 0.002
        while clock.monotonic() < deadline:
            async with self.log.pool.connection() as connection:
                if await freshness.position(connection) >= wanted:
                    return
            await asyncio.sleep(delay)
            delay = min(delay * 2, 0.05)
