"""Runs as a list: status, times and totals, one row a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from domain.runs import RunClaimed, RunCompleted, RunCreated, RunFailed, RunStats, RunStatus, run_of
from projections.projection import Recorded, topics_of
from runtime import sql
from runtime.database import Row

INSERT = sql.load(__file__, "insert_runs")
UPDATE = sql.load(__file__, "update_runs")
LIST = sql.load(__file__, "list_runs")
LIST_OF_GRAPH = sql.load(__file__, "list_graph_runs")
COUNT = sql.load(__file__, "count_runs")


class RunRow(msgspec.Struct, frozen=True):
    """A run as lists show it."""

    run_id: str
    user_id: str
    graph_id: str
    graph_version: int
    status: str
    inputs: Mapping[str, Any]
    error: str | None
    steps: int | None
    errors: int | None
    cost: int | None
    nodes_us: int | None
    wall_us: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class Change(msgspec.Struct):
    """What a batch says about one run; None means unchanged."""

    run_id: str
    position: int
    status: str | None = None
    worker: str | None = None
    error: str | None = None
    stats: RunStats | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


class RunsProjection:
    """Follows a run's life, not its nodes."""

    name = "runs"
    topics = topics_of(RunCreated, RunClaimed, RunCompleted, RunFailed)
    tables: tuple[str, ...] = ("read.runs",)

    async def apply(self, connection: AsyncConnection[Row], batch: Sequence[Recorded]) -> None:
        """Insert what is new, then lay the last word of each run over it."""
        created = [recorded for recorded in batch if isinstance(recorded.event, RunCreated)]
        if created:
            await connection.execute(INSERT, _created_columns(created))
        changes = _changes(batch)
        if changes:
            await connection.execute(UPDATE, _change_columns(changes))


def _created_columns(created: Sequence[Recorded]) -> dict[str, list[Any]]:
    runs = [(recorded, recorded.event) for recorded in created]
    rows = [(recorded, event) for recorded, event in runs if isinstance(event, RunCreated)]
    return {
        "run_ids": [run_of(recorded.stream) for recorded, _ in rows],
        "user_ids": [event.user_id for _, event in rows],
        "graph_ids": [event.graph_id for _, event in rows],
        "graph_versions": [event.graph_version for _, event in rows],
        "inputs": [msgspec.json.encode(event.inputs).decode() for _, event in rows],
        "created_at": [recorded.at for recorded, _ in rows],
        "positions": [recorded.position for recorded, _ in rows],
    }


def _changes(batch: Sequence[Recorded]) -> list[Change]:
    changes: dict[str, Change] = {}
    for recorded in batch:
        event = recorded.event
        if isinstance(event, RunCreated):
            continue
        run_id = run_of(recorded.stream)
        change = changes.setdefault(run_id, Change(run_id=run_id, position=0))
        change.position = recorded.position
        if isinstance(event, RunClaimed):
            change.status = RunStatus.RUNNING
            change.worker = event.worker
            change.started_at = change.started_at or recorded.at
        elif isinstance(event, RunCompleted | RunFailed):
            failed = isinstance(event, RunFailed)
            change.status = RunStatus.FAILED if failed else RunStatus.COMPLETED
            change.error = event.error if isinstance(event, RunFailed) else None
            change.stats = event.stats
            change.ended_at = recorded.at
    return list(changes.values())


def _change_columns(changes: Sequence[Change]) -> dict[str, list[Any]]:
    stats = [change.stats for change in changes]
    return {
        "run_ids": [change.run_id for change in changes],
        "positions": [change.position for change in changes],
        "statuses": [change.status for change in changes],
        "workers": [change.worker for change in changes],
        "run_errors": [change.error for change in changes],
        "steps": [entry.steps if entry else None for entry in stats],
        "errors": [entry.errors if entry else None for entry in stats],
        "costs": [entry.cost if entry else None for entry in stats],
        "nodes_us": [entry.nodes_us if entry else None for entry in stats],
        "wall_us": [entry.wall_us if entry else None for entry in stats],
        "started_at": [change.started_at for change in changes],
        "ended_at": [change.ended_at for change in changes],
    }


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
    return [RunRow(*row) for row in await cursor.fetchall()]


async def count_runs(connection: AsyncConnection[Row], *, user_id: str, graph_id: str) -> int:
    """How many runs a user's graph has had."""
    cursor = await connection.execute(COUNT, {"user_id": user_id, "graph_id": graph_id})
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])
