"""The sweeper: finds runs that should move and do not, and sees to it that they do.

It is the net under every process that can die: a run whose worker has lost its lease, a run that
nobody rang for, a sub-graph whose parent has ended. It also forgets receipts that nobody may
repeat any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import LiteralString

import structlog
from nats.aio.client import Client
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands import run_control
from commands.streams import Streams
from domain import limits
from domain.errors import DomainError
from runtime import clock, database, nats, sql
from runtime.database import Row
from runtime.embedded.nats import nats_url
from runtime.embedded.postgres import database_url
from runtime.eventlog.log import EventLog
from runtime.process import stop_if_cancelled
from runtime.settings import Settings

log = structlog.get_logger()

FIND_ABANDONED = sql.load(__file__, "find_abandoned_runs")
FIND_FORGOTTEN = sql.load(__file__, "find_forgotten_runs")
FIND_ORPHANS = sql.load(__file__, "find_orphans")
DELETE_RECEIPTS = sql.load(__file__, "delete_old_receipts")

Stop = Callable[[str], Awaitable[object]]
"""Ends the run of this id. Raises DomainError when it cannot now."""

Pool = AsyncConnectionPool[AsyncConnection[Row]]


class Sweeper:
    """Remembers for whom it rang and why, so that a slow executor is not rung deaf."""

    def __init__(self, pool: Pool, client: Client, stop: Stop) -> None:
        self._pool = pool
        self._client = client
        self._stop = stop
        self._rung: dict[Row, float] = {}
        """By run, with the worker that it lost or the position at which it was forgotten."""
        self._forgotten: set[Row] = set()
        self._looked_at = -limits.SWEEP_FORGOTTEN_SECONDS

    async def sweep(self) -> list[str]:
        """Ring for every run that should move and return them. Raises NatsError or database.LOST.

        Runs with a dead worker are rung for at once. That somebody has forgotten a run is believed
        after two looks, and only while no bell waits for an executor.
        """
        await nats.ensure_stream(self._client)
        now = clock.monotonic()
        stuck = await self._find(FIND_ABANDONED)
        if now - self._looked_at >= limits.SWEEP_FORGOTTEN_SECONDS:
            self._looked_at = now
            stuck += await self._find_forgotten()
        return await self._ring(stuck, now)

    async def stop_orphans(self) -> list[str]:
        """Stop the unfinished children of runs that have ended, and return them.

        Raises database.LOST.
        """
        orphans = [row[0] for row in await self._find(FIND_ORPHANS)]
        for run_id in orphans:
            try:
                await self._stop(run_id)
            except DomainError as error:
                log.warning("orphan.not_stopped", run=run_id, error=str(error))
        return orphans

    async def forget_receipts(self) -> None:
        """Delete receipts that are too old to be asked for."""
        async with self._pool.connection() as connection:
            await connection.execute(DELETE_RECEIPTS, (limits.RECEIPT_KEEP_SECONDS,))

    async def _find_forgotten(self) -> set[Row]:
        before = self._forgotten
        has_backlog = await nats.waiting_bells(self._client) > 0
        self._forgotten = set() if has_backlog else set(await self._find(FIND_FORGOTTEN))
        return before & self._forgotten

    async def _ring(self, stuck: list[Row], now: float) -> list[str]:
        rung = {row: self._rung[row] for row in stuck if row in self._rung}
        lost = {row for row, at in rung.items() if now - at >= limits.SWEEP_AGAIN_SECONDS}
        if lost and not await nats.waiting_bells(self._client):
            rung = {row: at for row, at in rung.items() if row not in lost}
        due = [row for row in stuck if row not in rung]
        for row in due:
            await self._client.publish(nats.READY_SUBJECT, nats.encode_bell(nats.Bell(row[0])))
        if due:
            await self._client.flush()
            log.info("sweeper.rang", runs=len(due))
        self._rung = rung | dict.fromkeys(due, now)
        return [row[0] for row in due]

    async def _find(self, query: LiteralString) -> list[Row]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, (limits.SWEEP_RUNS_MAX,))
            return await cursor.fetchall()


async def serve(settings: Settings) -> None:
    """Run until cancelled."""
    client = await nats.connect(nats_url(settings), "sweeper")
    event_log = EventLog(database_url(settings), "sweeper")
    await event_log.open()
    stop = partial(run_control.stop_orphan, Streams(event_log))
    sweeper = Sweeper(event_log.pool, client, stop)
    try:
        while True:
            try:
                await sweeper.sweep()
                await sweeper.stop_orphans()
                await sweeper.forget_receipts()
            except (*database.LOST, *nats.NatsError) as error:
                log.warning("sweeper.interrupted", error=repr(error))
            stop_if_cancelled()
            await asyncio.sleep(limits.SWEEP_SECONDS)
    finally:
        await event_log.close()
        await client.close()
