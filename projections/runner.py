"""Applying the log to read models: a page is folded, and committed with its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from psycopg import AsyncConnection

from domain import catalogue
from domain.events import UnknownEventType
from projections.projection import Projection, Recorded
from runtime import faults, sql
from runtime.database import Row
from runtime.eventlog import reader
from runtime.eventlog.reader import LogEvent

log = structlog.get_logger()

PREFER_INDEXES = sql.load(__file__, "prefer_indexes")
ENSURE = sql.load(__file__, "ensure_checkpoint")
SELECT = sql.load(__file__, "select_checkpoints")
ADVANCE = sql.load(__file__, "advance_checkpoint")


class CheckpointMoved(Exception):
    """Somebody else applied events to this read model; this runner must start again."""


class Runner:
    """Keeps read models up with the log, over one connection that nobody else uses."""

    def __init__(self, connection: AsyncConnection[Row], projections: Sequence[Projection]) -> None:
        self._connection = connection
        self._projections = projections
        self._checkpoints: dict[str, int] = {}
        self.is_behind = True
        """Whether the log may go on behind the last page."""

    async def open(self) -> None:
        """Load the checkpoints; a new read model begins at 0."""
        names = [projection.name for projection in self._projections]
        await self._connection.execute(PREFER_INDEXES)
        await self._connection.execute(ENSURE, (names,))
        cursor = await self._connection.execute(SELECT, (names,))
        self._checkpoints = dict(await cursor.fetchall())

    @property
    def position(self) -> int:
        """What all read models have seen."""
        return min(self._checkpoints.values())

    async def step(self) -> int:
        """Apply one page; returns how many events it had. Raises CheckpointMoved, GapFound,
        UnknownEventType: none of them may be passed over.
        """
        page = await reader.read_page(self._connection, self.position)
        self.is_behind = reader.is_full(page)
        if not page:
            return 0
        _require_known(page)
        async with self._connection.transaction():
            for projection in self._projections:
                await self._apply(projection, page)
            faults.reach("project.applied")
        faults.reach("project.committed")
        for projection in self._projections:
            self._checkpoints[projection.name] = max(
                self._checkpoints[projection.name], page[-1].position
            )
        return len(page)

    async def _apply(self, projection: Projection, page: Sequence[LogEvent]) -> None:
        seen = self._checkpoints[projection.name]
        if page[-1].position <= seen:
            return
        # First of all, so that a second runner waits here instead of failing anywhere.
        cursor = await self._connection.execute(
            ADVANCE, {"name": projection.name, "seen": seen, "position": page[-1].position}
        )
        if cursor.rowcount != 1:
            raise CheckpointMoved(f"the checkpoint of {projection.name} is not at {seen} any more")
        batch = [
            _decoded(entry)
            for entry in page
            if entry.topic in projection.topics and entry.position > seen
        ]
        if batch:
            await projection.apply(self._connection, batch)


async def reset(connection: AsyncConnection[Row], projection: Projection) -> None:
    """Empty a read model, so that it is built again from the beginning of the log."""
    async with connection.transaction():
        # The checkpoint before the tables, as a runner does: in one order nobody deadlocks.
        await connection.execute(
            "UPDATE log.notification_tracking SET notification_id = 0 WHERE application_name = %s",
            (projection.name,),
        )
        for table in projection.tables:
            await connection.execute(f"TRUNCATE {table}")


def _require_known(page: Sequence[LogEvent]) -> None:
    """Raise UnknownEventType for a type that a read model might have had to follow."""
    unknown = {entry.topic for entry in page} - catalogue.TOPICS
    for entry in page:
        if entry.topic in unknown:
            raise UnknownEventType(f"position {entry.position} holds the unknown {entry.topic!r}")


def _decoded(entry: LogEvent) -> Recorded:
    return Recorded(
        position=entry.position,
        stream=entry.stream,
        version=entry.version,
        owner=entry.owner,
        recorded_us=entry.recorded_us,
        event=entry.decode(),
    )
