"""The sweeper when there is more than it looks at in one go, and what its looks cost."""

from __future__ import annotations

from typing import Any, LiteralString

import pytest
from psycopg import AsyncConnection

from domain.limits import log_limits, worker_limits
from runtime import nats
from runtime.database import Row
from tests.workers.scene import Scene
from workers import claims, wake_ups
from workers import sweeper as module
from workers.executor import strays
from workers.sweeper import Sweeper

MANY = 3_000
PORTION = 2

FILL: LiteralString = """
INSERT INTO read.runs (run_id, user_id, graph_id, graph_version, status, inputs, created_at,
    parent_id, suspended, ended_at, position)
SELECT 'r' || n, 'u', 'g', 1, '', '{}', now() - make_interval(secs => n),
    'r' || n / 2, mod(n, 10) = 0, CASE WHEN mod(n, 10) > 0 THEN now() END, n
FROM generate_series(1, %s) AS n
"""
"""A tenth of these are children that rest."""

FILL_LOG: LiteralString = """
INSERT INTO log.stored_events
SELECT 'run-r' || n / 10, 1 + mod(n, 10), 't@1', '', n, '', '', uuidv7(), NULL, now()
FROM generate_series(1, %s) AS n
"""

FILL_RECEIPTS: LiteralString = """
INSERT INTO log.receipts
SELECT 'u', 'key ' || n, '', '', n, now() - make_interval(secs => %s + n - 11)
FROM generate_series(1, %s) AS n
"""
"""All but ten are old."""

COUNT_RECEIPTS = "SELECT count(*) FROM log.receipts"


@pytest.fixture
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_limits, "SWEEP_RUNS_MAX", PORTION)


async def count(scene: Scene, query: LiteralString) -> int:
    row = await (await scene.connection.execute(query)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
async def superuser(superuser_url: str) -> Any:
    async with await AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        yield connection


# --- rounds ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_small_portions")
async def test_abandoned_runs_that_nobody_takes_do_not_hide_others(
    scene: Scene, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_limits, "SWEEP_AGAIN_SECONDS", 0.0)
    await scene.create("a", "b", "c", "d", "e")
    await scene.claim("a", "b", "c", "d", "e")
    await scene.project()
    assert [await sweeper.sweep() for _ in range(3)] == [["a", "b"], ["c", "d"], ["e"]]
    assert [await sweeper.sweep() for _ in range(3)] == [[], [], []], "their wake-ups wait"
    assert await nats.waiting_wake_ups(scene.client) == 5
    found = await wake_ups.take(scene.connection, 10)
    assert sorted(found) == ["a", "b", "c", "d", "e"], "for executors that do not hear NATS"
    await scene.woken(5)
    await scene.create("aa")
    await scene.claim("aa")
    await scene.project()
    assert [await sweeper.sweep() for _ in range(3)] == [["a", "aa"], [], []]


@pytest.mark.usefixtures("_small_portions")
async def test_forgotten_runs_that_nobody_takes_do_not_hide_others(
    scene: Scene, sweeper: Sweeper
) -> None:
    for user in ("ada", "bob", "eve"):
        await scene.create(f"{user}'s", user=user)
    await scene.project()
    found = []
    for _ in range(4):
        woken = await sweeper.sweep()
        await scene.woken(len(woken))
        found.append(sorted(woken))
    assert found == [[], ["ada's", "bob's"], [], ["eve's"]]


@pytest.mark.usefixtures("_small_portions")
async def test_orphans_that_do_not_stop_do_not_hide_others(
    scene: Scene, sweeper: Sweeper, stopped: list[str]
) -> None:
    await scene.create("p", "q")
    await scene.create("c1", "c2", "c3", parent="p")
    await scene.create("d1", parent="q")
    await scene.end("p")
    await scene.end("q")
    await scene.project()
    for _ in range(4):
        await sweeper.stop_orphans()
    assert stopped == ["c1", "c2", "c3", "d1", "c1", "c2"]


# --- receipts ----------------------------------------------------------------------------------


@pytest.mark.holds("S31")
async def test_old_receipts_are_deleted_in_portions(
    scene: Scene,
    sweeper: Sweeper,
    superuser: AsyncConnection[Row],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_limits, "RECEIPTS_PORTION", 10)
    await superuser.execute(FILL_RECEIPTS, (log_limits.RECEIPT_KEEP_SECONDS, 45))
    parameters = (log_limits.RECEIPT_KEEP_SECONDS, log_limits.RECEIPTS_PORTION)
    assert (await scene.connection.execute(module.DELETE_RECEIPTS, parameters)).rowcount == 10
    assert await count(scene, COUNT_RECEIPTS) == 35
    await sweeper.forget_receipts()
    assert await count(scene, COUNT_RECEIPTS) == 10


# --- cost --------------------------------------------------------------------------------------

WANTED = {
    "living": ["one"],
    "user_id": "",
    "run_id": "",
    "parent_id": "",
    "worker": "one",
    "known": ["r1"],
    "limit": 1_000,
}


@pytest.mark.parametrize(
    ("query", "wanted", "indexes"),
    [
        (module.FIND_ABANDONED, WANTED, {"runs_in_hand"}),
        (
            module.FIND_FORGOTTEN,
            WANTED,
            {"runs_queued", "runs_suspended", "runs_called", "runs_in_hand"},
        ),
        (module.FIND_ORPHANS, WANTED, {"runs_orphaning", "runs_children"}),
        (strays.FIND, WANTED, {"runs_in_hand"}),
        (claims.LIST_LAST_TOPICS, (["run-r1", "run-r2"],), {"stored_events_pkey"}),
        (module.DELETE_RECEIPTS, (60, 10), {"receipts_recorded_at", "Tid Scan"}),
    ],
)
async def test_looking_costs_what_is_found_and_not_what_there_is(
    connection: AsyncConnection[Row],
    superuser: AsyncConnection[Row],
    query: LiteralString,
    wanted: Any,
    indexes: set[str],
) -> None:
    await superuser.execute(FILL, (MANY,))
    await superuser.execute(FILL_LOG, (MANY,))
    await superuser.execute(FILL_RECEIPTS, (log_limits.RECEIPT_KEEP_SECONDS, MANY))
    await superuser.execute("ANALYZE read.runs, log.stored_events, log.receipts")
    cursor = await connection.execute("EXPLAIN " + query, wanted)
    plan = "\n".join(row[0] for row in await cursor.fetchall())
    assert {index for index in indexes if index in plan} == indexes
    assert "Seq Scan" not in plan
