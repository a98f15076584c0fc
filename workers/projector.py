"""The projector: keeps the read models up with the log."""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from domain.limits import worker_limits
from projections.catalogue import PROJECTIONS
from projections.runner import CheckpointMoved, Runner
from runtime import database
from runtime.embedded.postgres import database_url
from runtime.eventlog.log_listener import LogListener
from runtime.settings import Settings
from workers.leader import Deposed, Term, lead

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Run until cancelled. A damaged log or an unknown event type ends the process: an event is
    never passed over.
    """
    listener = LogListener(database_url(settings), "projector")
    listener.open()
    try:
        while True:
            try:
                await lead(settings, "projector", partial(_project, listener), listener.epoch.check)
            except (Deposed, CheckpointMoved, *database.LOST) as error:
                log.warning("projector.interrupted", error=str(error))
            await asyncio.sleep(worker_limits.POLL_SECONDS)
    finally:
        await listener.close()


async def _project(listener: LogListener, term: Term) -> None:
    """Apply whatever comes. What another projector has applied is never applied again: it has moved
    the checkpoints.
    """
    runner = Runner(term.connection, PROJECTIONS)
    await runner.open()
    while True:
        await runner.step()
        term.note_step()
        if not runner.is_behind:
            # Under load pages grow by it; what comes after a quiet time is applied at once.
            await asyncio.sleep(worker_limits.PROJECT_REST_SECONDS)
            await listener.wait(runner.position)
