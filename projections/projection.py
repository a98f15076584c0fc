"""What a read model is: a name, the event types that it follows, and how it takes a batch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
from psycopg import AsyncConnection

from domain import events
from domain.events import Event
from runtime.database import Row

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """A decoded event at its place in the log."""

    position: int
    stream: str
    version: int
    owner: str
    recorded_us: int
    event: Event

    @property
    def at(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.recorded_us)


class Projection(Protocol):
    """Folds batches of events into tables of its own.

    A batch and its checkpoint are one transaction, so each event is applied exactly once; and
    because nothing else writes the tables, deleting them and starting from 0 changes nothing.
    """

    name: str
    topics: frozenset[str]
    tables: tuple[str, ...]

    async def apply(self, connection: AsyncConnection[Row], batch: Sequence[Recorded]) -> None:
        """Take a batch, in order of position, inside the caller's transaction."""
        ...


def topics_of(*classes: type[Event]) -> frozenset[str]:
    """The topics of these events in every version ever written."""
    wanted: set[str] = set()
    for cls in classes:
        present = events.topic_of(cls)
        name, _, version = present.partition("@")
        wanted.update(f"{name}@{number}" for number in range(1, int(version) + 1))
    return frozenset(wanted)
