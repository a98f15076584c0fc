"""The list of graphs: each as its active version describes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection

from domain.graphs.files import GraphDraft
from domain.graphs.graph import VersionSaved
from projections.graphs import list_graphs
from runtime.database import Row
from runtime.eventlog.log import EventLog
from tests.projections.support import bring_up_to_date
from tests.support.log import append

AT = datetime(2026, 1, 1, tzinfo=UTC)


def saved(graph_id: str, version: int, *, is_active: bool, user_id: str = "u") -> VersionSaved:
    draft = GraphDraft(
        id=graph_id,
        version=version,
        name=f"name {version}",
        description=f"description {version}",
        recommended_schedule_cron="0 * * * *",
        is_active=is_active,
    )
    return VersionSaved(user_id, version, draft, {}, AT + timedelta(days=version))


async def test_a_graph_shows_its_active_version(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await append(event_log, "graph-a", 0, saved("a", 1, is_active=True))
    await append(event_log, "graph-a", 1, saved("a", 2, is_active=False))
    await bring_up_to_date(connection)
    [graph] = await list_graphs(connection, user_id="u")
    assert (graph.version, graph.name, graph.created_at) == (1, "name 1", AT + timedelta(days=1))
    assert graph.meta == {
        "description": "description 1",
        "instructions": None,
        "recommended_schedule_cron": "0 * * * *",
        "forked_from_id": None,
        "forked_from_version": None,
    }
    await append(event_log, "graph-a", 2, saved("a", 3, is_active=True))
    await bring_up_to_date(connection)
    [graph] = await list_graphs(connection, user_id="u")
    assert (graph.version, graph.name, graph.created_at) == (3, "name 3", AT + timedelta(days=3))
    cursor = await connection.execute("SELECT versions, position FROM read.graphs")
    assert await cursor.fetchall() == [(3, 3)]


async def test_lists_are_of_one_user_and_newest_first(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await append(event_log, "graph-old", 0, saved("old", 1, is_active=True))
    await append(event_log, "graph-new", 0, saved("new", 2, is_active=True))
    await append(event_log, "graph-theirs", 0, saved("theirs", 1, is_active=True, user_id="eve"))
    await bring_up_to_date(connection)
    assert [g.graph_id for g in await list_graphs(connection, user_id="u")] == ["new", "old"]
    assert [g.graph_id for g in await list_graphs(connection, user_id="eve")] == ["theirs"]
