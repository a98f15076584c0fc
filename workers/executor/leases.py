"""A worker's lease: while it is renewed, nobody else may claim the worker's runs.

One lease a worker and not one a run, so that holding ten thousand runs costs one small write a
second. Times are the database's, so clocks need not agree.
"""

from __future__ import annotations

import asyncio

import psycopg
import structlog

from domain import limits
from runtime import ids, sql
from runtime.eventlog.log import EventLog

log = structlog.get_logger()

RENEW = sql.load(__file__, "renew_lease")
FIND = sql.load(__file__, "find_lease")
DELETE = sql.load(__file__, "delete_lease")


class Lease:
    """The lease of this process. Its name is kept over restarts, `worker` is new at each."""

    def __init__(self, event_log: EventLog, name: str | None) -> None:
        self._log = event_log
        self.name = name or f"executor-{ids.new_secret(6)}"
        self.worker = f"{self.name}/{ids.new_id()}"

    async def renew(self) -> None:
        """Take or prolong the lease; an earlier incarnation of this name loses its own."""
        async with self._log.pool.connection() as connection:
            await connection.execute(RENEW, (self.name, self.worker, limits.LEASE_SECONDS))

    async def keep(self) -> None:
        """Renew for ever. While the database is away the lease may run out; appends are fenced."""
        while True:
            await asyncio.sleep(limits.LEASE_RENEW_SECONDS)
            try:
                await self.renew()
            except psycopg.Error as error:
                log.warning("lease.not_renewed", error=str(error))

    async def give_up(self) -> None:
        """End the lease, so that others may claim at once."""
        async with self._log.pool.connection() as connection:
            await connection.execute(DELETE, (self.worker,))

    async def is_held(self, worker: str) -> bool:
        """Whether this worker's lease still runs."""
        async with self._log.pool.connection() as connection:
            cursor = await connection.execute(FIND, (worker,))
            return await cursor.fetchone() is not None
