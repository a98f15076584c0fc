"""Reading the log as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from runtime.eventlog import epoch, reader
from tests.simulation.statements.session import Answer, Session, Work
from tests.simulation.tables import Row
from workers import claims

ARRAY_HEADER_BYTES = 20


def _select_page(session: Session, parameters: Sequence[Any]) -> Answer:
    after, limit, _ = parameters
    page = session.tables.rows[after : after + limit]
    return [_columns(row) for row in page], len(page)


def _select_excerpt(session: Session, parameters: Mapping[str, Any]) -> Answer:
    after = parameters["after"]
    unwanted = _texts(parameters["unwanted"].data)
    page = session.tables.rows[after : after + parameters["events_max"]]
    wanted = [(*_columns(row), row.topic not in unwanted, len(page)) for row in page]
    found = [row for row in wanted if row[7] or row is wanted[-1]]
    return found, len(found)


@cache
def _texts(packed: bytes) -> frozenset[str]:
    """The elements of an array of texts as it is sent."""
    texts, at = [], ARRAY_HEADER_BYTES
    while at < len(packed):
        size = int.from_bytes(packed[at : at + 4])
        texts.append(packed[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return frozenset(texts)


def _columns(row: Row) -> tuple[Any, ...]:
    event = row.log_event
    return (
        *(event.position, event.stream, event.version, event.topic, event.state, event.owner),
        event.recorded_us,
    )


def _select_head(session: Session, _: Any) -> Answer:
    return [(session.tables.head,)], 1


def _list_last_topics(session: Session, parameters: Sequence[Any]) -> Answer:
    repository = session.tables.repository
    found = [(name, repository[name][-1].topic) for name in parameters[0] if name in repository]
    return found, len(found)


def _select_epoch(_: Session, __: Any) -> Answer:
    return [("0" * 16,)], 1


WORK: Mapping[str, Work] = {
    reader.SELECT_PAGE: _select_page,
    reader.SELECT_EXCERPT: _select_excerpt,
    reader.SELECT_HEAD: _select_head,
    epoch.SELECT: _select_epoch,
    claims.LIST_LAST_TOPICS: _list_last_topics,
}
