"""Waking up when the log grows: LISTEN, with polling as the net."""

from __future__ import annotations

import asyncio
import contextlib

import psycopg
import structlog
from psycopg import AsyncConnection

from domain.limits import worker_limits
from runtime import database
from runtime.database import Row
from runtime.eventlog.epoch import LogEpoch

log = structlog.get_logger()

CHANNEL = "stored_events"


class LogListener:
    """Wakes up after each committed batch. A missed notification costs at most POLL_SECONDS.

    Notifications are read only while somebody waits: what comes meanwhile is read at once then,
    which costs less than to read one by one what nobody listens to.
    """

    def __init__(self, database_url: str, application: str) -> None:
        self._database_url = database_url
        self._application = f"{application} listener"
        self.epoch = LogEpoch()
        self._woken = asyncio.Event()
        self._awaited = asyncio.Event()
        self._notified = 0
        """The last position of the log that was notified,"""
        self._heard = 0
        """that when somebody waited last,"""
        self._after = 0
        """and that which is no news to whoever waits."""
        self._listener: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._listener = asyncio.create_task(self._listen(), name="log listener")

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener

    async def wait(self, after: int | None = None, seconds: float | None = None) -> None:
        """Return when the log may have grown beyond position `after`, by default since the last
        call, and at the latest after a while. `seconds` may make that while shorter.
        """
        self._after = self._heard if after is None else after
        if self._notified <= self._after:
            self._awaited.set()
            most = (
                worker_limits.POLL_SECONDS
                if seconds is None
                else min(seconds, worker_limits.POLL_SECONDS)
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(most):
                    await self._woken.wait()
        self._woken.clear()
        self._heard = self._notified

    def wake(self) -> None:
        """End the wait of now, or the next one: there is something else to look at."""
        self._woken.set()

    async def _listen(self) -> None:
        while True:
            try:
                connection = await database.connect(self._database_url, self._application)
                async with connection:
                    await self.epoch.check(connection)
                    await connection.execute(f"LISTEN {CHANNEL}")
                    connection.seconds_max = None
                    # What was committed before LISTEN notified nobody.
                    self._woken.set()
                    while True:
                        await self._hear(connection)
            except Exception as error:
                # Whatever it is: who follows the log would only poll from then on.
                is_known = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
                log.warning("listener.lost", error=str(error), exc_info=not is_known)
            await asyncio.sleep(worker_limits.POLL_SECONDS)

    async def _hear(self, connection: AsyncConnection[Row]) -> None:
        """Take what has come, at least one, and wake up whoever waits if it is news."""
        async for notify in connection.notifies(stop_after=1):
            if notify.payload.isdecimal():
                self._notified = max(self._notified, int(notify.payload))
        if self._notified > self._after:
            self._awaited.clear()
            self._woken.set()
            await self._awaited.wait()
