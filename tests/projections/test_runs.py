"""The list of runs."""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from domain.events import Event
from domain.runs import (
    NodeCompleted,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunStats,
)
from projections.runs import RunRow, count_runs, list_runs
from runtime.database import Row
from runtime.eventlog.log import EventLog
from tests.projections.support import bring_up_to_date
from tests.support.log import append

STATS = RunStats(steps=3, errors=1, cost=7, nodes_us=99)


def created(user_id: str = "u", graph_id: str = "g") -> RunCreated:
    return RunCreated(user_id, graph_id, 2, {"name": "Ünï"}, steps_max=9)


async def run(log: EventLog, run_id: str, *events: Event) -> None:
    await append(log, f"run-{run_id}", 0, *events)


async def listed(connection: AsyncConnection[Row], user_id: str = "u") -> list[RunRow]:
    await bring_up_to_date(connection)
    return await list_runs(connection, user_id=user_id, graph_id=None, limit=9)


async def recorded(log: EventLog, run_id: str) -> list[datetime]:
    return [entry.recorded_at for entry in await log.read_stream(f"run-{run_id}")]


async def test_a_run_goes_through_its_life(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await append(event_log, "run-r", 0, created())
    [row] = await listed(connection)
    assert (row.status, row.started_at, row.ended_at, row.steps) == ("QUEUED", None, None, None)
    assert (row.run_id, row.user_id, row.graph_id, row.graph_version) == ("r", "u", "g", 2)
    assert row.inputs == {"name": "Ünï"}

    await append(event_log, "run-r", 1, RunClaimed("one"))
    await append(event_log, "run-r", 2, NodeCompleted(0, "n", [], 1), RunClaimed("two"))
    [row] = await listed(connection)
    moments = await recorded(event_log, "r")
    assert (row.status, row.created_at, row.started_at) == ("RUNNING", moments[0], moments[1])

    await append(event_log, "run-r", 4, RunCompleted(STATS))
    [row] = await listed(connection)
    moments = await recorded(event_log, "r")
    assert (row.status, row.started_at, row.ended_at) == ("COMPLETED", moments[1], moments[4])
    assert (row.steps, row.errors, row.cost, row.nodes_us) == (3, 1, 7, 99)


async def test_a_whole_life_in_one_batch_is_the_same(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await run(event_log, "good", created(), RunClaimed("one"), RunCompleted(STATS))
    await run(event_log, "bad", created(), RunClaimed("one"), RunFailed("broken", STATS))
    bad, good = await listed(connection)
    assert (good.run_id, good.status, good.error, good.steps) == ("good", "COMPLETED", None, 3)
    assert (bad.run_id, bad.status, bad.error, bad.cost) == ("bad", "FAILED", "broken", 7)


async def test_lists_are_of_one_user_and_newest_first(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    for number in range(5):
        await run(event_log, f"{number}", created(graph_id=f"g-{number % 2}"))
    await run(event_log, "theirs", created(user_id="somebody else"))
    assert [row.run_id for row in await listed(connection)] == ["4", "3", "2", "1", "0"]
    assert [row.run_id for row in await listed(connection, "somebody else")] == ["theirs"]
    assert await listed(connection, "nobody") == []
    page = await list_runs(connection, user_id="u", graph_id="g-0", limit=2)
    assert [row.run_id for row in page] == ["4", "2"]
    page = await list_runs(connection, user_id="u", graph_id="g-0", limit=2, offset=2)
    assert [row.run_id for row in page] == ["0"]
    assert await count_runs(connection, user_id="u", graph_id="g-0") == 3
    assert await count_runs(connection, user_id="somebody else", graph_id="g-0") == 0
