"""A worker's lease: while it is renewed, nobody else may claim the worker's runs.

One lease a worker and not one a run, so that holding ten thousand runs costs one small write a
second. Times are the database's, so clocks need not agree; each renewal tells this process the
database's time too.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog
from psycopg import Connection

from domain.limits import worker_limits
from runtime import clock, sql
from runtime.database import Row
from runtime.eventlog.log import EventLog
from workers import heartbeat

log = structlog.get_logger()

RENEW = sql.load(__file__, "renew_lease")
FIND = sql.load(__file__, "find_living")
DELETE = sql.load(__file__, "delete_lease")
APPLICATION = "executor lease"


class Lease:
    """The lease of this process, under a name that no other process ever has: that of `worker`.

    `predecessor` is an incarnation that is known to have ended. Whoever started it has seen that.
    """

    def __init__(
        self,
        event_log: EventLog,
        database_url: str,
        name: str | None,
        incarnation: str,
        predecessor: str | None,
    ) -> None:
        self._log = event_log
        self._database_url = database_url
        self.name = name or "executor"
        self.worker = f"{self.name}/{incarnation}"
        self._predecessor = f"{self.name}/{predecessor}" if predecessor else None
        self.others = 0
        """How many other leases ran when this one was renewed."""

    async def take(self) -> None:
        """Begin the lease, and end that of the predecessor, whose runs are free from now on.

        Raises psycopg.Error.
        """
        with heartbeat.connect(self._database_url, APPLICATION) as connection:
            self._renew(connection)
        if self._predecessor is not None:
            await self._end(self._predecessor)

    async def keep(self) -> None:
        """Renew until cancelled. While the database is away the lease may run out; appends are
        fenced.
        """
        seconds = worker_limits.LEASE_RENEW_SECONDS
        await heartbeat.beat(self._database_url, APPLICATION, self._renew, seconds)

    async def give_up(self) -> None:
        """End the lease, so that others may claim at once."""
        await self._end(self.worker)

    async def is_held(self, worker: str) -> bool:
        """Whether this worker's lease still runs."""
        return bool(await self.living([worker]))

    async def living(self, workers: Collection[str]) -> set[str]:
        """Those of these workers whose leases still run."""
        async with self._log.pool.connection() as connection:
            cursor = await connection.execute(FIND, (list(workers),))
            return {worker for (worker,) in await cursor.fetchall()}

    def _renew(self, connection: Connection[Row]) -> None:
        asked_at = clock.monotonic()
        parameters = (self.worker, self.name, worker_limits.LEASE_SECONDS)
        row = connection.execute(RENEW, parameters).fetchone()
        assert row is not None
        moment, has_lapsed, self.others = row
        clock.follow(moment, asked_at)
        if has_lapsed:
            log.warning("lease.lapsed", worker=self.worker)

    async def _end(self, worker: str) -> None:
        async with self._log.pool.connection() as connection:
            await connection.execute(DELETE, (worker, worker_limits.LEASE_KEEP_SECONDS))
