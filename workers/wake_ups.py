"""How executors are woken up: over NATS, or by a table of the database while that is not heard.

Executors look into the table once a second, whatever they hear, so it does not matter whose
connection it is that NATS is away from. It may come both ways: the claim decides whose it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from psycopg import AsyncConnection

from domain.limits import worker_limits
from runtime import nats, sql
from runtime.broker import Broker
from runtime.database import Row
from runtime.nats import WakeUp

log = structlog.get_logger()

UPSERT = sql.load(__file__, "upsert_wake_ups")
DELETE_STALE = sql.load(__file__, "delete_stale_wake_ups")
TAKE = sql.load(__file__, "take_wake_ups")


async def send(
    broker: Broker, connection: AsyncConnection[Row], wake_ups: Sequence[WakeUp]
) -> None:
    """Let executors know of these runs. Raises database.LOST."""
    if broker.is_heard:
        try:
            for wake_up in wake_ups:
                await broker.publish(nats.READY_SUBJECT, nats.encode_wake_up(wake_up))
        except nats.NatsError as error:
            log.warning("wake_up.not_published", error=repr(error))
        else:
            return
    await put(connection, [wake_up.run_id for wake_up in wake_ups])


async def put(connection: AsyncConnection[Row], run_ids: Sequence[str]) -> None:
    """Have wake-ups in the table, each once, and none that are stale. Raises database.LOST."""
    if run_ids:
        await connection.execute(DELETE_STALE, (worker_limits.WAKE_UP_STALE_SECONDS,))
        await connection.execute(UPSERT, (list(run_ids),))


async def take(connection: AsyncConnection[Row], room: int) -> list[str]:
    """Take up to `room` runs out of the table. Raises database.LOST."""
    cursor = await connection.execute(TAKE, (room,))
    return [row[0] for row in await cursor.fetchall()]
