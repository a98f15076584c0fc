"""The projector: keeps the read models up with the log."""

from __future__ import annotations

import asyncio

import structlog

from domain import limits
from projections.catalogue import PROJECTIONS
from projections.runner import CheckpointMoved, Runner
from runtime import database
from runtime.embedded.postgres import database_url
from runtime.eventlog.bell import LogBell
from runtime.settings import Settings
from workers.leader import leading

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Run until cancelled. A damaged log or an unknown event type ends the process: an event is
    never passed over.
    """
    url = database_url(settings)
    bell = LogBell(url, "projector")
    bell.open()
    try:
        while True:
            try:
                await _project(url, bell)
            except (CheckpointMoved, *database.LOST) as error:
                log.warning("projector.interrupted", error=str(error))
            await asyncio.sleep(limits.POLL_SECONDS)
    finally:
        await bell.close()


async def _project(url: str, bell: LogBell) -> None:
    async with leading(url, "projector") as connection:
        runner = Runner(connection, PROJECTIONS)
        await runner.open()
        while True:
            await runner.step()
            if not runner.is_behind:
                # Under load pages grow by it; what comes after a quiet time is applied at once.
                await asyncio.sleep(limits.PROJECT_REST_SECONDS)
                await bell.wait(runner.position)
