"""How executors are rung: over NATS, or by a table of the database while that is not heard.

Executors look into the table once a second, whatever they hear, so it does not matter whose
connection it is that NATS is away from. A bell may come both ways: whose it is, the claim decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from psycopg import AsyncConnection

from domain import limits
from runtime import nats, sql
from runtime.broker import Broker
from runtime.database import Row
from runtime.nats import Bell

log = structlog.get_logger()

UPSERT = sql.load(__file__, "upsert_bells")
DELETE_STALE = sql.load(__file__, "delete_stale_bells")
TAKE = sql.load(__file__, "take_bells")


async def ring(broker: Broker, connection: AsyncConnection[Row], bells: Sequence[Bell]) -> None:
    """Let executors know of these runs. Raises database.LOST."""
    if broker.is_heard:
        try:
            for bell in bells:
                await broker.publish(nats.READY_SUBJECT, nats.encode_bell(bell))
        except nats.NatsError as error:
            log.warning("bells.not_published", error=repr(error))
        else:
            return
    await put(connection, [bell.run_id for bell in bells])


async def put(connection: AsyncConnection[Row], run_ids: Sequence[str]) -> None:
    """Have bells in the table, each once, and none that are stale. Raises database.LOST."""
    if run_ids:
        await connection.execute(DELETE_STALE, (limits.BELL_STALE_SECONDS,))
        await connection.execute(UPSERT, (list(run_ids),))


async def take(connection: AsyncConnection[Row], room: int) -> list[str]:
    """Up to `room` runs that were rung for in the table, and no more are. Raises database.LOST."""
    cursor = await connection.execute(TAKE, (room,))
    return [row[0] for row in await cursor.fetchall()]
