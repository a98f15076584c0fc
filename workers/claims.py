"""Who has which run in hand, as far as the read model of runs does not show it yet.

The sweeper must find the runs of dead workers also while no projector works. It reads the log from
where that read model stands, each event once, and remembers what is in hand and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import structlog
from psycopg import AsyncConnection

from domain import catalogue
from domain.limits import worker_limits
from domain.runs import (
    RunClaimed,
    RunCompleted,
    RunFailed,
    RunParked,
    RunSuspended,
    RunTerminated,
    run_of,
)
from projections import freshness
from projections.projection import topics_of
from projections.runs.read_model import RunsProjection
from runtime import sql
from runtime.database import Row
from runtime.eventlog import reader
from runtime.eventlog.reader import LogEvent

log = structlog.get_logger()

LIST_LAST_TOPICS = sql.load(__file__, "list_last_topics")

CLAIMED = topics_of(RunClaimed)
LET_GO = topics_of(RunSuspended, RunParked, RunCompleted, RunFailed, RunTerminated)
"""After one of these nobody has the run in hand."""
UNWANTED = catalogue.TOPICS - CLAIMED - LET_GO


class Claim(NamedTuple):
    """A run that this worker took at this position of the log."""

    run_id: str
    worker: str
    position: int


class Claims:
    """Claims beyond the checkpoint of the read model of runs, in the order of the log."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}
        self._checkpoint = 0
        self._position = 0
        """How far the log has been read."""

    async def follow(self, connection: AsyncConnection[Row]) -> list[Claim]:
        """Read on, some pages at most; returns what is in hand as far as that goes.

        Raises GapFound or psycopg.Error.
        """
        checkpoint = await freshness.position(connection, [RunsProjection.name])
        if checkpoint < self._checkpoint:
            log.info("claims.read_again", checkpoint=checkpoint)
            self._claims.clear()
            self._position = checkpoint
        self._checkpoint = checkpoint
        self._position = max(self._position, checkpoint)
        self._claims = {
            run_id: claim for run_id, claim in self._claims.items() if claim.position > checkpoint
        }
        for _ in range(worker_limits.SWEEP_PAGES_MAX):
            excerpt = await reader.read_excerpt(connection, self._position, UNWANTED)
            for entry in excerpt.events:
                self._hear(entry)
            self._position = excerpt.last
            if not excerpt.is_full:
                break
        return list(self._claims.values())

    def _hear(self, entry: LogEvent) -> None:
        run_id = run_of(entry.stream)
        if entry.topic in LET_GO:
            self._claims.pop(run_id, None)
        elif entry.topic in CLAIMED:
            try:
                claimed = cast("RunClaimed", entry.decode())
            except Exception:
                log.exception("claim.unreadable", run=run_id, position=entry.position)
                return
            self._claims[run_id] = Claim(run_id, claimed.worker, entry.position)
