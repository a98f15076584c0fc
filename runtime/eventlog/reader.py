"""Reading the log: a stream from a version, or everything from a position."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from psycopg import AsyncConnection

from domain import events
from domain.events import Event
from domain.limits import log_limits
from runtime import database, sql
from runtime.eventlog import arrays
from runtime.eventlog.mapper import Encoded

SELECT_PAGE = sql.load(__file__, "select_page")
SELECT_EXCERPT = sql.load(__file__, "select_excerpt")
SELECT_TOPICS = sql.load(__file__, "select_topics")
SELECT_OWNER = sql.load(__file__, "select_owner")
SELECT_LAST = sql.load(__file__, "select_last")
SELECT_VERSIONS = sql.load(__file__, "select_versions")
SELECT_HEAD = sql.load(__file__, "select_head")
SELECT_EVENTS = sql.load(__file__, "select_events")
SELECT_VERSION_AT = sql.load(__file__, "select_version_at")
FIND_RECEIPT = sql.load(__file__, "find_receipt")


class GapFound(Exception):
    """The log is missing a position: it was altered, or its database restored in part."""


class StreamEvent(msgspec.Struct, frozen=True):
    """One event of a stream. `position` is its place in the whole log."""

    version: int
    event: Event
    position: int
    recorded_at: datetime
    bytes: int = 0
    """Encoded, without large values."""


class LogEvent(msgspec.Struct, frozen=True, gc=False):
    """One row of the log, still encoded: most readers need few types of it."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes
    owner: str
    recorded_us: int
    """Microseconds since 1970, by the database's clock."""

    def decode(self) -> Event:
        """The event itself. Raises UnknownEventType."""
        return events.decode(self.topic, self.state)


class Excerpt(msgspec.Struct, frozen=True):
    """The wanted events among those up to the position `last`; more may follow if it is full."""

    events: list[LogEvent]
    last: int
    is_full: bool


class Answered(msgspec.Struct, frozen=True):
    """What is kept under an idempotency key. `position` is that of the append's last event."""

    request_hash: bytes
    answer: bytes
    position: int


def to_stream_event(row: database.Row) -> StreamEvent:
    """Decode a row that begins with version, topic, state, position and moment."""
    version, topic, state, position, moment = row[:5]
    return StreamEvent(version, events.decode(topic, state), position, moment, len(state))


async def read_topics(
    connection: AsyncConnection[database.Row],
    stream: str,
    topics: Collection[str],
    after: int,
    owner: str | None,
) -> tuple[list[StreamEvent], int]:
    """The stream's events behind version `after` with one of the topics, and its version. If an
    owner is named, none of another's.
    """
    wanted = arrays.text_array(topics)
    parameters = {"stream": stream, "after": after, "topics": wanted, "owner": owner}
    cursor = await connection.execute(SELECT_TOPICS, parameters, binary=True)
    rows = await cursor.fetchall()
    return [to_stream_event(row) for row in rows if row[0] is not None], rows[0][5]


async def read_events(
    connection: AsyncConnection[database.Row], stream: str, versions: Collection[int]
) -> list[StreamEvent]:
    """The stream's events with these versions, in order."""
    elements = [arrays.int8_element(version) for version in versions]
    parameters = (arrays.Int8Array(len(elements), elements), stream)
    cursor = await connection.execute(SELECT_EVENTS, parameters, binary=True)
    return [to_stream_event(row) for row in await cursor.fetchall()]


async def read_encoded(
    connection: AsyncConnection[database.Row], stream: str, version: int
) -> Encoded:
    """One event that is there."""
    parameters = (arrays.Int8Array(1, [arrays.int8_element(version)]), stream)
    cursor = await connection.execute(SELECT_EVENTS, parameters, binary=True)
    row = await cursor.fetchone()
    assert row is not None, f"{stream} has no version {version}"
    return Encoded(topic=row[1], state=row[2])


async def read_version_at(
    connection: AsyncConnection[database.Row], stream: str, moment: datetime
) -> int:
    """The version of the stream's last event that was recorded by a moment, 0 for none."""
    parameters = {"stream": stream, "moment": moment}
    cursor = await connection.execute(SELECT_VERSION_AT, parameters, binary=True)
    row = await cursor.fetchone()
    return row[0] if row else 0


async def read_owner(connection: AsyncConnection[database.Row], stream: str) -> str | None:
    """Whose the stream is, None where there is none."""
    cursor = await connection.execute(SELECT_OWNER, (arrays.text_array([stream]),), binary=True)
    row = await cursor.fetchone()
    return row[0] if row else None


async def read_last(
    connection: AsyncConnection[database.Row], streams: Collection[str]
) -> tuple[dict[str, StreamEvent], int]:
    """The last event of each stream that has one, and the log's last position."""
    cursor = await connection.execute(SELECT_LAST, (arrays.text_array(streams),), binary=True)
    rows = await cursor.fetchall()
    return {row[5]: to_stream_event(row) for row in rows if row[0] is not None}, rows[0][6]


async def read_versions(
    connection: AsyncConnection[database.Row], streams: Collection[str]
) -> dict[str, int]:
    """The last version of each stream, 0 where there is none."""
    cursor = await connection.execute(SELECT_VERSIONS, (arrays.text_array(streams),), binary=True)
    return dict(await cursor.fetchall())


async def read_page(
    connection: AsyncConnection[database.Row], after: int, limit: int = log_limits.READ_PAGE_EVENTS
) -> list[LogEvent]:
    """The events behind position `after`, in order, until the page is full. Raises GapFound."""
    parameters = (after, limit, log_limits.READ_PAGE_BYTES)
    cursor = await connection.execute(SELECT_PAGE, parameters, binary=True)
    page = [LogEvent(*row) for row in await cursor.fetchall()]
    assert_contiguous(page, after)
    return page


async def read_excerpt(
    connection: AsyncConnection[database.Row], after: int, unwanted: Collection[str]
) -> Excerpt:
    """The events behind position `after` but for those of the unwanted topics, until a page is
    full. Raises GapFound, also for a gap among the unwanted.
    """
    parameters = {
        "after": after,
        "unwanted": arrays.text_array(unwanted),
        "events_max": log_limits.READ_PAGE_EVENTS,
        "bytes_max": log_limits.READ_PAGE_BYTES,
    }
    cursor = await connection.execute(SELECT_EXCERPT, parameters, binary=True)
    rows = await cursor.fetchall()
    if not rows:
        return Excerpt([], after, is_full=False)
    last, count = rows[-1][0], rows[-1][8]
    if last != after + count:
        raise GapFound(f"the log has a gap after position {after}")
    events = [LogEvent(*row[:7]) for row in rows if row[7]]
    may_go_on = count >= log_limits.READ_PAGE_EVENTS or _size(events) >= log_limits.READ_PAGE_BYTES
    return Excerpt(events, last, is_full=may_go_on)


def is_full(page: Sequence[LogEvent], limit: int = log_limits.READ_PAGE_EVENTS) -> bool:
    """Whether the log may go on after a page that was read with this limit."""
    return len(page) >= limit or _size(page) >= log_limits.READ_PAGE_BYTES


def _size(page: Sequence[LogEvent]) -> int:
    return sum(len(entry.state) for entry in page)


def assert_contiguous(page: Sequence[LogEvent], after: int) -> None:
    """Raise GapFound unless the page continues right after `after`.

    Positions are unique and ordered, so the ends tell.
    """
    if page and (page[0].position != after + 1 or page[-1].position != after + len(page)):
        raise GapFound(f"the log has a gap after position {after}")


async def read_head(connection: AsyncConnection[database.Row]) -> int:
    """The last position, 0 for an empty log."""
    cursor = await connection.execute(SELECT_HEAD, binary=True)
    row = await cursor.fetchone()
    return row[0] if row else 0


async def read_receipt(
    connection: AsyncConnection[database.Row], owner: str, key: str
) -> Answered | None:
    """What was answered under an idempotency key."""
    cursor = await connection.execute(FIND_RECEIPT, (owner, key), binary=True)
    row = await cursor.fetchone()
    return Answered(*row) if row else None
