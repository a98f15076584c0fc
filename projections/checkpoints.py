"""How far each read model has read the log."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import AsyncConnection

from runtime import sql
from runtime.database import Row

SELECT = sql.load(__file__, "select_checkpoints")


async def read(connection: AsyncConnection[Row], names: Sequence[str]) -> dict[str, int]:
    """The last position that each of these read models has seen, of those that have begun."""
    cursor = await connection.execute(SELECT, (list(names),))
    return dict(await cursor.fetchall())
