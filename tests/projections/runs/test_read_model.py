"""The list of runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, LiteralString

import msgspec
import pytest
from psycopg import AsyncConnection

from domain.events import Event
from domain.runs import (
    Fork,
    NodeCompleted,
    Outcome,
    Parent,
    ReviewDecided,
    ReviewReason,
    ReviewRequested,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStats,
    RunStopRequested,
    RunSuspended,
    RunTerminated,
)
from projections.runs import read_model
from projections.runs.changes import LISTED_INPUTS_BYTES
from projections.runs.read_model import (
    RunRow,
    UnfinishedRun,
    count_runs,
    list_runs,
    list_unfinished,
    load_unfinished,
)
from runtime.database import Row
from runtime.eventlog.log import EventLog
from tests.projections.support import bring_up_to_date
from tests.support.log import append, whole_stream

STATS = RunStats(steps=3, errors=1, cost=7, nodes_us=99)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MANY = 3_000

FILL: LiteralString = """
INSERT INTO read.runs (run_id, user_id, graph_id, graph_version, status, inputs, created_at,
    ended_at, position)
SELECT 'r' || n, 'u', 'g' || mod(n, 9), 1, 'COMPLETED', '{}',
    now() - make_interval(secs => n), now(), n
FROM generate_series(1, %s) AS n
"""


def created(
    user_id: str = "u", graph_id: str = "g", parent: str | None = None, fork: Fork | None = None
) -> RunCreated:
    above = None if parent is None else Parent(parent, execution=0, depth=1)
    return RunCreated(user_id, graph_id, 2, {"name": "Ünï"}, steps_max=9, parent=above, fork=fork)


def asked(number: int = 0) -> ReviewRequested:
    return ReviewRequested(number, "n", "Letter", "a letter", ReviewReason.ASKED)


def decided(number: int = 0) -> ReviewDecided:
    return ReviewDecided(number, "n", approved=True)


async def shown(connection: AsyncConnection[Row], run_id: str, *columns: str) -> tuple[Any, ...]:
    """Some columns of a row that is up to date."""
    await bring_up_to_date(connection)
    query: Any = f"SELECT {', '.join(columns)} FROM read.runs WHERE run_id = %s"
    row = await (await connection.execute(query, (run_id,))).fetchone()
    assert row is not None
    return row


async def run(log: EventLog, run_id: str, *events: Event) -> None:
    await append(log, f"run-{run_id}", 0, *events)


async def listed(connection: AsyncConnection[Row], user_id: str = "u") -> list[RunRow]:
    await bring_up_to_date(connection)
    return await list_runs(connection, user_id=user_id, graph_id=None, limit=9)


async def recorded(log: EventLog, run_id: str) -> list[datetime]:
    return [entry.recorded_at for entry in await whole_stream(log, f"run-{run_id}")]


async def test_inputs_that_are_too_large_for_a_list_are_left_out(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    fits = {"x": "x" * (LISTED_INPUTS_BYTES - len('{"x":""}'))}
    for run_id, inputs, large in (
        ("a", fits, {}),
        ("b", {"x": fits["x"] + "x"}, {}),
        ("c", {"x": None, "y": 1}, {"x": "0" * 64}),
        ("d", {"x": None}, {}),
    ):
        first = msgspec.structs.replace(created(), inputs=inputs, large=large)
        await append(event_log, f"run-{run_id}", 0, first)
    shown = {row.run_id: row.inputs for row in await listed(connection)}
    assert shown == {"a": fits, "b": None, "c": None, "d": {"x": None}}


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


@pytest.mark.parametrize(
    ("stats", "outcome"),
    [
        (RunStats(), Outcome.COMPLETED),
        (RunStats(errors=1, waiting=1), Outcome.WITH_ERRORS),
        (RunStats(waiting=2), Outcome.DEAD_ENDED),
    ],
)
async def test_a_completed_run_says_how_it_went(
    event_log: EventLog, connection: AsyncConnection[Row], stats: RunStats, outcome: Outcome
) -> None:
    await run(event_log, "r", created(), RunClaimed("one"), RunCompleted(stats))
    [row] = await listed(connection)
    assert (row.outcome, row.waiting) == (outcome, stats.waiting)


async def test_a_run_that_failed_or_was_stopped_has_no_outcome(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await run(event_log, "failed", created(), RunFailed("broken", STATS))
    await run(event_log, "stopped", created(), RunTerminated(STATS))
    stopped, failed = await listed(connection)
    assert (failed.status, failed.outcome) == ("FAILED", None)
    assert (stopped.status, stopped.outcome, stopped.steps) == ("TERMINATED", None, 3)
    assert stopped.ended_at is not None


async def test_a_run_is_suspended_and_is_claimed_again(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    columns = ("status", "worker", "suspended", "wakes_at", "seen", "steps")
    await run(event_log, "r", created(), RunClaimed("one"))
    assert await shown(connection, "r", *columns) == ("RUNNING", "one", False, None, 0, None)
    await append(event_log, "run-r", 2, RunSuspended(STATS, NOON, seen=7))
    assert await shown(connection, "r", *columns) == ("RUNNING", None, True, NOON, 7, 3)
    await append(event_log, "run-r", 3, RunClaimed("two"))
    assert await shown(connection, "r", *columns) == ("RUNNING", "two", False, None, 7, 3)
    await append(event_log, "run-r", 4, RunSuspended(RunStats(steps=4)))
    assert await shown(connection, "r", *columns) == ("RUNNING", None, True, None, 0, 4)
    await append(event_log, "run-r", 5, RunTerminated(STATS))
    assert await shown(connection, "r", *columns) == ("TERMINATED", None, False, None, 0, 3)


async def test_a_run_that_is_suspended_with_an_open_review_is_in_review(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await run(event_log, "r", created(), RunClaimed("one"), asked(1), asked(2))
    assert await shown(connection, "r", "status", "reviews") == ("RUNNING", 2)
    await append(event_log, "run-r", 4, RunSuspended(STATS))
    assert await shown(connection, "r", "status", "reviews") == ("REVIEW", 2)
    await append(event_log, "run-r", 5, decided(1))
    [decided_at] = (await recorded(event_log, "r"))[5:]
    columns = ("status", "reviews", "wakes_at")
    assert await shown(connection, "r", *columns) == ("REVIEW", 1, decided_at)
    await append(event_log, "run-r", 6, RunClaimed("two"))
    assert await shown(connection, "r", *columns) == ("RUNNING", 1, None)
    await append(event_log, "run-r", 7, decided(2), RunSuspended(STATS))
    assert await shown(connection, "r", *columns) == ("RUNNING", 0, None)


async def test_what_comes_from_outside_is_shown_and_wakes(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    columns = ("paused", "stopping", "wakes_at")
    await run(event_log, "r", created(), RunClaimed("one"), RunSuspended(STATS, NOON), RunPaused())
    moments = await recorded(event_log, "r")
    assert await shown(connection, "r", *columns) == (True, False, moments[3])
    [row] = await listed(connection)
    assert row.paused
    await append(event_log, "run-r", 4, RunResumed(), RunClaimed("two"), RunStopRequested())
    moments = await recorded(event_log, "r")
    assert await shown(connection, "r", *columns) == (False, True, moments[6])


async def test_a_parent_counts_its_children_and_knows_when_one_ended(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    columns = ("children", "child_ended", "status")
    await run(event_log, "p", created(), RunClaimed("one"))
    await run(event_log, "c1", created(parent="p"))
    await run(event_log, "c2", created(parent="p"))
    assert await shown(connection, "p", *columns) == (2, 0, "RUNNING")
    ended = await append(event_log, "run-c1", 1, RunCompleted(STATS, parent="p"))
    assert await shown(connection, "p", *columns) == (1, ended.last, "RUNNING")
    await append(event_log, "run-p", 2, RunFailed("broken", STATS))
    late = await append(event_log, "run-c2", 1, RunTerminated(STATS, parent="p"))
    assert await shown(connection, "p", *columns) == (0, late.last, "FAILED")
    child, *_ = await listed(connection)
    assert (child.run_id, child.parent_id) == ("c2", "p")


async def test_a_fork_names_the_run_that_it_comes_from(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await run(event_log, "f", created(fork=Fork("r", version=4)))
    assert await shown(connection, "f", "forked_from", "parent_id") == ("r", None)


async def test_unfinished_runs_of_a_graph_come_in_pages(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    for number in range(7):
        await run(event_log, f"{number}", created(graph_id=f"g-{number % 2}"))
    await append(event_log, "run-2", 1, RunTerminated(STATS))
    await bring_up_to_date(connection)
    page = await list_unfinished(connection, user_id="u", graph_id="g-0", limit=2)
    assert page == ["0", "4"]
    page = await list_unfinished(connection, user_id="u", graph_id="g-0", after="4", limit=2)
    assert page == ["6"]
    assert await list_unfinished(connection, user_id="eve", graph_id="g-0", limit=2) == []


async def test_a_dispatcher_finds_everything_unfinished_and_where_the_log_goes_on(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    assert await load_unfinished(connection) == (0, [])
    await run(event_log, "queued", created())
    await run(event_log, "resting", created(), RunClaimed("one"), RunSuspended(STATS, NOON, seen=2))
    await run(
        event_log,
        "claimed",
        created(parent="resting"),
        RunClaimed("one"),
        RunPaused(),
        RunStopRequested(),
    )
    await run(event_log, "child", created(parent="resting"))
    ended = await append(event_log, "run-child", 1, RunCompleted(STATS, parent="resting"))
    await bring_up_to_date(connection)
    await run(event_log, "unseen", created())
    position, found = await load_unfinished(connection)
    assert position == ended.last
    queued, suspended, claimed = found
    assert queued == UnfinishedRun(
        *("queued", "u", "g", None, False, False, None, 0, 0, False, False)
    )
    assert suspended == UnfinishedRun(
        *("resting", "u", "g", None, False, True, NOON.timestamp(), 2, ended.last, False, False)
    )
    assert (claimed.parent_id, claimed.is_claimed) == ("resting", True)
    assert (claimed.is_paused, claimed.is_stopping) == (True, True)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (read_model.LIST, "runs_user"),
        (read_model.LIST_OF_GRAPH, "runs_graph"),
        (read_model.LIST_UNFINISHED, "runs_unfinished"),
        (read_model.LOAD_UNFINISHED, "runs_unfinished"),
    ],
)
async def test_lists_read_what_they_show_and_no_more(
    connection: AsyncConnection[Row], superuser_url: str, query: LiteralString, index: str
) -> None:
    await connection.execute(FILL, (MANY,))
    async with await AsyncConnection.connect(superuser_url) as superuser:
        await superuser.execute("ANALYZE read.runs")
    wanted = {"user_id": "u", "graph_id": "g1", "after": "", "limit": 20, "offset": 0}
    cursor = await connection.execute("EXPLAIN " + query, wanted)
    plan = "\n".join(row[0] for row in await cursor.fetchall())
    assert index in plan
    assert "Seq Scan" not in plan
