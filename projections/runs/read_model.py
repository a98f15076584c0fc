"""Runs as a list: status, times and totals, one row a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from domain.runs import Outcome
from projections import checkpoints
from projections.projection import Recorded
from projections.runs import changes
from runtime import sql
from runtime.database import Row

INSERT = sql.load(__file__, "insert_runs")
UPDATE = sql.load(__file__, "update_runs")
LIST = sql.load(__file__, "list_runs")
LIST_OF_GRAPH = sql.load(__file__, "list_graph_runs")
LIST_UNFINISHED = sql.load(__file__, "list_unfinished_runs")
LOAD_UNFINISHED = sql.load(__file__, "load_unfinished_runs")
COUNT = sql.load(__file__, "count_runs")

_encode = msgspec.json.Encoder().encode


class RunRow(msgspec.Struct, frozen=True):
    """A run as lists show it. Totals are those of its last suspension or of its end.

    `waiting` counts node executions that never got all their inputs. `inputs` are None where they
    are too large for a list.
    """

    run_id: str
    user_id: str
    graph_id: str
    graph_version: int
    status: str
    inputs: Mapping[str, Any] | None
    error: str | None
    steps: int | None
    errors: int | None
    cost: int | None
    nodes_us: int | None
    wall_us: int | None
    waiting: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    parent_id: str | None
    paused: bool
    outcome: Outcome | None


class UnfinishedRun(msgspec.Struct, frozen=True):
    """A run as a dispatcher has to know it. `wakes_at` is in seconds since 1970; `seen` and
    `child_ended` are positions in the log.
    """

    run_id: str
    user_id: str
    graph_id: str
    parent_id: str | None
    is_claimed: bool
    is_suspended: bool
    wakes_at: float | None
    seen: int
    child_ended: int
    is_paused: bool
    is_stopping: bool


class RunsProjection:
    """Follows a run's life, not its nodes."""

    name = "runs"
    topics = changes.TOPICS
    tables: tuple[str, ...] = ("read.runs",)

    async def apply(self, connection: AsyncConnection[Row], batch: Sequence[Recorded]) -> None:
        """Insert what is new, then lay what changed over it.

        Rows go as one JSON text: psycopg needs more time for a list than the server for the rows.
        """
        folded = changes.fold(batch)
        if folded.new_runs:
            await connection.execute(INSERT, (_encode(folded.new_runs).decode(),))
        if folded.changes:
            await connection.execute(UPDATE, (_encode(list(folded.changes.values())).decode(),))


async def list_runs(
    connection: AsyncConnection[Row],
    *,
    user_id: str,
    graph_id: str | None,
    limit: int,
    offset: int = 0,
) -> list[RunRow]:
    """A user's runs, of one graph or of all, newest first."""
    cursor = await connection.execute(
        LIST if graph_id is None else LIST_OF_GRAPH,
        {"user_id": user_id, "graph_id": graph_id, "limit": limit, "offset": offset},
    )
    return [_listed(row) for row in await cursor.fetchall()]


async def count_runs(connection: AsyncConnection[Row], *, user_id: str, graph_id: str) -> int:
    """How many runs a user's graph has had."""
    cursor = await connection.execute(COUNT, {"user_id": user_id, "graph_id": graph_id})
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def list_unfinished(
    connection: AsyncConnection[Row], *, user_id: str, graph_id: str, after: str = "", limit: int
) -> list[str]:
    """Ids of a graph's runs that have not ended, in their own order, those after one of them."""
    cursor = await connection.execute(
        LIST_UNFINISHED,
        {"user_id": user_id, "graph_id": graph_id, "after": after, "limit": limit},
    )
    return [row[0] for row in await cursor.fetchall()]


async def load_unfinished(connection: AsyncConnection[Row]) -> tuple[int, list[UnfinishedRun]]:
    """All runs that have not ended, the oldest first, and the position that they are true for.

    The connection must be in autocommit mode.
    """
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        seen = await checkpoints.read(connection, [RunsProjection.name])
        cursor = await connection.execute(LOAD_UNFINISHED, binary=True)
        runs = [UnfinishedRun(*row) for row in await cursor.fetchall()]
    return seen.get(RunsProjection.name, 0), runs


def _listed(row: Row) -> RunRow:
    outcome = None if row[-1] is None else Outcome(row[-1])
    return RunRow(*(*row[:-1], outcome))
