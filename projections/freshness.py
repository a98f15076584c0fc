"""How far the read models are."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import AsyncConnection

from projections import checkpoints
from projections.catalogue import PROJECTIONS
from runtime.database import Row


async def position(connection: AsyncConnection[Row], names: Sequence[str] | None = None) -> int:
    """The position that every read model has seen, or every one of those named."""
    wanted = names or [projection.name for projection in PROJECTIONS]
    return min((await checkpoints.read(connection, wanted)).values(), default=0)
