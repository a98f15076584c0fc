"""How far the read models are."""

from __future__ import annotations

from psycopg import AsyncConnection

from projections.catalogue import PROJECTIONS
from runtime import sql
from runtime.database import Row

SELECT = sql.load(__file__, "select_checkpoints")


async def position(connection: AsyncConnection[Row]) -> int:
    """The position that every read model has seen."""
    names = [projection.name for projection in PROJECTIONS]
    cursor = await connection.execute(SELECT, (names,))
    return min((row[1] for row in await cursor.fetchall()), default=0)
