"""Reviews: what people are asked by runs, one row a node execution that asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection

from domain.runs import (
    ReviewDecided,
    ReviewRequested,
    RunFailed,
    RunTerminated,
    execution_id,
    run_of,
)
from projections.projection import Recorded, topics_of
from runtime import sql
from runtime.database import Row

UPSERT = sql.load(__file__, "upsert_reviews")
DECIDE = sql.load(__file__, "decide_reviews")
REJECT = sql.load(__file__, "reject_reviews")
LIST_WAITING = sql.load(__file__, "list_waiting_reviews")
LIST_OF_RUN = sql.load(__file__, "list_run_reviews")
FIND = sql.load(__file__, "find_reviews")


class ReviewStatus(StrEnum):
    """What has become of a question. A run that ends unanswered rejects it (4.12)."""

    WAITING = "WAITING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class ReviewRow(msgspec.Struct, frozen=True):
    """A question as lists show it. `name` tells the person what `payload` is."""

    node_exec_id: str
    user_id: str
    run_id: str
    graph_id: str
    graph_version: int
    execution: int
    node_id: str
    name: str
    payload: Any
    large: str | None
    """The hash of the payload where that is too large for a list; it is null here then."""
    editable: bool
    status: str
    created_at: datetime


class ReviewPlace(msgspec.Struct, frozen=True):
    """Where a question came from."""

    node_exec_id: str
    run_id: str
    execution: int


class Asked(NamedTuple):
    """A question, at its place in the log."""

    key: str
    recorded: Recorded
    event: ReviewRequested


class Decided(NamedTuple):
    """An answer, at its place in the log."""

    key: str
    recorded: Recorded
    event: ReviewDecided


class ReviewsProjection:
    """Follows questions and answers. A run can complete only after the last answer."""

    name = "reviews"
    topics = topics_of(ReviewRequested, ReviewDecided, RunFailed, RunTerminated)
    tables: tuple[str, ...] = ("read.reviews",)

    async def apply(self, connection: AsyncConnection[Row], batch: Sequence[Recorded]) -> None:
        """Three statements at the most: ends come last, as they do in each run's stream."""
        asked, decided = _last_words(batch)
        ended = [entry for entry in batch if isinstance(entry.event, RunFailed | RunTerminated)]
        if asked:
            await connection.execute(UPSERT, _asked_columns(asked))
        if decided:
            await connection.execute(DECIDE, _decided_columns(decided))
        if ended:
            await connection.execute(REJECT, _ended_columns(ended))


async def list_waiting(
    connection: AsyncConnection[Row], *, user_id: str, limit: int, offset: int
) -> list[ReviewRow]:
    """What all runs of a user ask, newest first."""
    parameters = {"user_id": user_id, "limit": limit, "offset": offset}
    cursor = await connection.execute(LIST_WAITING, parameters)
    return [ReviewRow(*row) for row in await cursor.fetchall()]


async def list_of_run(
    connection: AsyncConnection[Row], *, run_id: str, limit: int, offset: int
) -> list[ReviewRow]:
    """What one run asks, in the order of its node executions."""
    parameters = {"run_id": run_id, "limit": limit, "offset": offset}
    cursor = await connection.execute(LIST_OF_RUN, parameters)
    return [ReviewRow(*row) for row in await cursor.fetchall()]


async def find(
    connection: AsyncConnection[Row], *, user_id: str, node_exec_ids: Collection[str]
) -> dict[str, ReviewPlace]:
    """Those of these questions that are the user's, by node execution."""
    parameters = {"user_id": user_id, "node_exec_ids": list(node_exec_ids)}
    cursor = await connection.execute(FIND, parameters)
    places = [ReviewPlace(*row) for row in await cursor.fetchall()]
    return {place.node_exec_id: place for place in places}


def _last_words(batch: Sequence[Recorded]) -> tuple[Collection[Asked], Collection[Decided]]:
    """What was asked last of each node execution, and what was answered to that or before."""
    asked: dict[str, Asked] = {}
    decided: dict[str, Decided] = {}
    for recorded in batch:
        run_id = run_of(recorded.stream)
        match recorded.event:
            case ReviewRequested(execution=number) as event:
                key = execution_id(run_id, number)
                asked[key] = Asked(key, recorded, event)
                decided.pop(key, None)
            case ReviewDecided(execution=number) as event:
                key = execution_id(run_id, number)
                decided[key] = Decided(key, recorded, event)
    return asked.values(), decided.values()


def _asked_columns(asked: Collection[Asked]) -> dict[str, list[Any]]:
    return {
        "node_exec_ids": [key for key, _, _ in asked],
        "user_ids": [recorded.owner for _, recorded, _ in asked],
        "run_ids": [run_of(recorded.stream) for _, recorded, _ in asked],
        "executions": [event.execution for _, _, event in asked],
        "node_ids": [event.node for _, _, event in asked],
        "names": [event.name for _, _, event in asked],
        "payloads": [msgspec.json.encode(event.data).decode() for _, _, event in asked],
        "large": [event.large for _, _, event in asked],
        "reasons": [event.reason.value for _, _, event in asked],
        "editable": [event.editable for _, _, event in asked],
        "created_at": [recorded.at for _, recorded, _ in asked],
        "positions": [recorded.position for _, recorded, _ in asked],
    }


def _decided_columns(decided: Collection[Decided]) -> dict[str, list[Any]]:
    return {
        "node_exec_ids": [key for key, _, _ in decided],
        "statuses": [_status(event).value for _, _, event in decided],
        "messages": [event.message for _, _, event in decided],
        "edited": [event.edited for _, _, event in decided],
        "reviewed_at": [recorded.at for _, recorded, _ in decided],
        "positions": [recorded.position for _, recorded, _ in decided],
    }


def _status(event: ReviewDecided) -> ReviewStatus:
    return ReviewStatus.APPROVED if event.approved else ReviewStatus.REJECTED


def _ended_columns(ended: Sequence[Recorded]) -> dict[str, list[Any]]:
    return {
        "run_ids": [run_of(recorded.stream) for recorded in ended],
        "ended_at": [recorded.at for recorded in ended],
        "positions": [recorded.position for recorded in ended],
    }
