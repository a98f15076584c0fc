"""Bringing read models up to date."""

from __future__ import annotations

from psycopg import AsyncConnection

from projections.catalogue import PROJECTIONS
from projections.runner import Runner
from runtime.database import Row


async def opened(connection: AsyncConnection[Row]) -> Runner:
    """A runner of all projections, at their checkpoints."""
    runner = Runner(connection, PROJECTIONS)
    await runner.open()
    return runner


async def catch_up(runner: Runner) -> None:
    while await runner.step():
        pass


async def bring_up_to_date(connection: AsyncConnection[Row]) -> None:
    await catch_up(await opened(connection))
