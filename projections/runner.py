"""Applying the log to read models: a page is folded, and committed with its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from psycopg import AsyncConnection

from domain import catalogue
from domain.events import UnknownEventType
from projections import checkpoints
from projections.projection import Projection, Recorded
from runtime import failpoints, sql
from runtime.database import Row
from runtime.eventlog import reader
from runtime.eventlog.reader import LogEvent

log = structlog.get_logger()

PREFER_INDEXES = sql.load(__file__, "prefer_indexes")
ENSURE = sql.load(__file__, "ensure_checkpoint")
ADVANCE = sql.load(__file__, "advance_checkpoints")


class CheckpointMoved(Exception):
    """Somebody else applied events to this read model; this runner must start again."""


class Runner:
    """Keeps read models up with the log, over one connection that nobody else uses."""

    def __init__(self, connection: AsyncConnection[Row], projections: Sequence[Projection]) -> None:
        self._connection = connection
        self._projections = projections
        self._checkpoints: dict[str, int] = {}
        # A type that nobody knows is read, since a read model might have had to follow it.
        self._unwanted = catalogue.TOPICS.difference(*(one.topics for one in projections))
        self.is_behind = True
        """Whether the log may go on after the last page."""

    async def open(self) -> None:
        """Load the checkpoints; a new read model begins at 0."""
        names = [projection.name for projection in self._projections]
        await self._connection.execute(PREFER_INDEXES)
        await self._connection.execute(ENSURE, (names,))
        self._checkpoints = await checkpoints.read(self._connection, names)

    @property
    def position(self) -> int:
        """What all read models have seen."""
        return min(self._checkpoints.values())

    async def step(self) -> int:
        """Apply one page; returns how many events it had. Raises CheckpointMoved, GapFound,
        UnknownEventType: none of them may be passed over.
        """
        before = self.position
        page = await reader.read_excerpt(self._connection, before, self._unwanted)
        self.is_behind = page.is_full
        if page.last == before:
            return 0
        happened = [(entry.topic, _decoded(entry)) for entry in page.events]
        async with self._connection.transaction():
            await self._advance(page.last)
            for projection in self._projections:
                await self._apply(projection, happened)
            failpoints.reach("project.applied")
        failpoints.reach("project.committed")
        self._checkpoints = {name: max(seen, page.last) for name, seen in self._checkpoints.items()}
        return page.last - before

    async def _advance(self, position: int) -> None:
        """Move the checkpoints. First of all, so that a second runner waits here instead of failing
        anywhere.
        """
        behind = {name: seen for name, seen in self._checkpoints.items() if seen < position}
        cursor = await self._connection.execute(
            ADVANCE,
            {"names": list(behind), "seen": list(behind.values()), "position": position},
        )
        if cursor.rowcount != len(behind):
            raise CheckpointMoved(f"the checkpoints are not at {behind} any more")

    async def _apply(
        self, projection: Projection, happened: Sequence[tuple[str, Recorded]]
    ) -> None:
        seen = self._checkpoints[projection.name]
        batch = [
            recorded
            for topic, recorded in happened
            if topic in projection.topics and recorded.position > seen
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


def _decoded(entry: LogEvent) -> Recorded:
    """Raises UnknownEventType for a type that a read model might have had to follow."""
    try:
        event = entry.decode()
    except UnknownEventType as error:
        raise UnknownEventType(f"position {entry.position} holds an {error}") from None
    return Recorded(
        position=entry.position,
        stream=entry.stream,
        version=entry.version,
        owner=entry.owner,
        recorded_us=entry.recorded_us,
        event=event,
    )
