"""Graphs as a list: one row a graph, as its active version describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from domain.graphs.graph import VersionSaved
from domain.limits import request_limits
from projections.projection import Recorded, topics_of
from runtime import sql
from runtime.database import Row

UPSERT = sql.load(__file__, "upsert_graph")
LIST = sql.load(__file__, "list_graphs")


class GraphRow(msgspec.Struct, frozen=True):
    """A graph as lists show it. `meta` holds the descriptive fields of the contract's GraphMeta,
    `has_next` says whether there is another after it.
    """

    graph_id: str
    user_id: str
    version: int
    name: str
    meta: Mapping[str, Any]
    created_at: datetime
    has_next: bool


class GraphsProjection:
    """Follows which version of a graph is active."""

    name = "graphs"
    topics = topics_of(VersionSaved)
    tables: tuple[str, ...] = ("read.graphs",)

    async def apply(self, connection: AsyncConnection[Row], batch: Sequence[Recorded]) -> None:
        """Graphs are saved by people, so one statement a version is quick enough."""
        async with connection.cursor() as cursor:
            await cursor.executemany(UPSERT, [_parameters(recorded) for recorded in batch])


def _parameters(recorded: Recorded) -> dict[str, Any]:
    saved = recorded.event
    assert isinstance(saved, VersionSaved)
    graph = saved.graph
    meta = {
        "description": graph.description,
        "instructions": graph.instructions,
        "recommended_schedule_cron": graph.recommended_schedule_cron,
        "forked_from_id": graph.forked_from_id,
        "forked_from_version": graph.forked_from_version,
    }
    return {
        "graph_id": graph.id,
        "user_id": saved.user_id,
        "version": saved.version,
        "is_active": graph.is_active,
        "name": graph.name,
        "meta": msgspec.json.encode(meta).decode(),
        "created_at": saved.at,
        "position": recorded.position,
    }


async def list_graphs(
    connection: AsyncConnection[Row], *, user_id: str, after: int = 0
) -> list[GraphRow]:
    """A user's graphs behind the first `after`, newest first, as many as a page has room for."""
    parameters = {
        "user_id": user_id,
        "after": after,
        "limit": request_limits.GRAPHS_LISTED_MAX,
        "bytes": request_limits.LIST_PAGE_BYTES,
    }
    cursor = await connection.execute(LIST, parameters)
    return [GraphRow(*row) for row in await cursor.fetchall()]
