"""Leases of executors: what a renewal tells."""

from __future__ import annotations

from psycopg import AsyncConnection

from domain.limits import worker_limits
from runtime.database import Row
from runtime.eventlog.log import EventLog
from workers.executor.lease import Lease


async def test_a_renewal_counts_the_other_executors_that_live(
    event_log: EventLog, database_url: str, superuser: AsyncConnection[Row]
) -> None:
    one, two, three = (Lease(event_log, database_url, name, "1", None) for name in "abc")
    await one.take()
    assert one.others == 0
    await two.take()
    await three.take()
    assert (two.others, three.others) == (1, 2)
    seconds = worker_limits.LEASE_SECONDS
    await superuser.execute(
        "UPDATE work.leases SET expires_at = expires_at - make_interval(secs => %s)"
        " WHERE worker = 'b/1'",
        (seconds,),
    )
    await one.take()
    assert one.others == 1
