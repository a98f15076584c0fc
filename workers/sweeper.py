"""The sweeper: finds runs that should move and do not, and rings for them again.

It is the net under NATS and under every process that can die: a queued run that nobody claimed,
a run whose worker has lost its lease. It also forgets receipts that nobody may repeat any more.
"""

from __future__ import annotations

import asyncio

import structlog
from nats.aio.client import Client

from domain import limits
from runtime import clock, database, nats, sql
from runtime.embedded.nats import nats_url
from runtime.embedded.postgres import database_url
from runtime.process import stop_if_cancelled
from runtime.settings import Settings

log = structlog.get_logger()

FIND_STUCK = sql.load(__file__, "find_stuck_runs")
DELETE_RECEIPTS = sql.load(__file__, "delete_old_receipts")


class Sweeper:
    """Remembers whom it rang for, so that a slow executor is not rung deaf."""

    def __init__(self, database_url: str, client: Client) -> None:
        self._pool = database.pool(database_url, "sweeper")
        self._client = client
        self._rung: dict[str, float] = {}

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    async def sweep(self) -> list[str]:
        """Ring for every stuck run and return them. Raises NatsError or psycopg errors."""
        await nats.ensure_stream(self._client)
        backlog = await nats.waiting_bells(self._client)
        stuck = await self._find_stuck()
        now = clock.monotonic()
        self._rung = {
            run_id: at for run_id, at in self._rung.items() if now - at < limits.SWEEP_AGAIN_SECONDS
        }
        due = [
            run_id
            for run_id, is_queued in stuck
            # While bells wait for an executor, a queued run is most likely among them.
            if run_id not in self._rung and not (is_queued and backlog)
        ]
        for run_id in due:
            await self._client.publish(nats.READY_SUBJECT, run_id.encode())
            self._rung[run_id] = now
        if due:
            await self._client.flush()
            log.info("sweeper.rang", runs=len(due))
        return due

    async def forget_receipts(self) -> None:
        """Delete receipts that are too old to be asked for."""
        async with self._pool.connection() as connection:
            await connection.execute(DELETE_RECEIPTS, (limits.RECEIPT_KEEP_SECONDS,))

    async def _find_stuck(self) -> list[tuple[str, bool]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                FIND_STUCK, (limits.SWEEP_QUEUED_SECONDS, limits.SWEEP_RUNS_MAX)
            )
            return [(row[0], row[1]) for row in await cursor.fetchall()]


async def serve(settings: Settings) -> None:
    """Run until cancelled."""
    client = await nats.connect(nats_url(settings), "sweeper")
    sweeper = Sweeper(database_url(settings), client)
    await sweeper.open()
    try:
        while True:
            try:
                await sweeper.sweep()
                await sweeper.forget_receipts()
            except (*database.LOST, *nats.NatsError) as error:
                log.warning("sweeper.interrupted", error=repr(error))
            stop_if_cancelled()
            await asyncio.sleep(limits.SWEEP_SECONDS)
    finally:
        await sweeper.close()
        await client.close()
