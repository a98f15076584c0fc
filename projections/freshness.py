"""How far the read models are."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import AsyncConnection

from projections.catalogue import PROJECTIONS
from runtime import sql
from runtime.database import Row

SELECT = sql.load(__file__, "select_checkpoints")


async def position(connection: AsyncConnection[Row], names: Sequence[str] | None = None) -> int:
    """The position that every read model has seen, or every one of those named."""
    wanted = names or [projection.name for projection in PROJECTIONS]
    cursor = await connection.execute(SELECT, (list(wanted),))
    return min((row[1] for row in await cursor.fetchall()), default=0)
