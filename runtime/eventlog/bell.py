"""Waking up when the log grows: LISTEN, with polling as the net."""

from __future__ import annotations

import asyncio
import contextlib

import psycopg
import structlog

from domain import limits
from runtime import database

log = structlog.get_logger()

CHANNEL = "stored_events"


class LogBell:
    """Rings after each committed batch. A missed ring costs at most POLL_SECONDS."""

    def __init__(self, database_url: str, application: str) -> None:
        self._database_url = database_url
        self._application = f"{application} bell"
        self._rung = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._listener = asyncio.create_task(self._listen(), name="log bell")

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener

    async def wait(self, seconds: float | None = None) -> None:
        """Return when the log may have grown since the last call, at the latest after a while.

        `seconds` may make that while shorter, and `ring` ends it.
        """
        most = limits.POLL_SECONDS if seconds is None else min(seconds, limits.POLL_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most):
                await self._rung.wait()
        self._rung.clear()

    def ring(self) -> None:
        """End the wait of now, or the next one: there is something else to look at."""
        self._rung.set()

    async def _listen(self) -> None:
        while True:
            try:
                connection = await database.connect(self._database_url, self._application)
                async with connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    # What was committed before LISTEN rang no bell.
                    self._rung.set()
                    async for _ in connection.notifies():
                        self._rung.set()
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                log.warning("bell.lost", error=str(error))
            await asyncio.sleep(limits.POLL_SECONDS)
