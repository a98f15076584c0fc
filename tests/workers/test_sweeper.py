"""What moves although nobody cared for it any more."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import LiteralString

import pytest
from psycopg import AsyncConnection

from commands import run_control
from commands.streams import Streams
from domain import limits
from domain.errors import Conflict
from domain.runs import RunPaused, RunStopRequested, RunTerminated, stream_of
from runtime import ids, nats
from runtime.database import Row
from runtime.nats import Bell
from tests.support.log import eventually
from tests.workers.scene import Scene
from workers import sweeper as module
from workers.sweeper import Sweeper

PAST = datetime(2026, 1, 1, tzinfo=UTC)
MANY = 3_000

FILL: LiteralString = """
INSERT INTO read.runs (run_id, user_id, graph_id, graph_version, status, inputs, created_at,
    parent_id, rests, ended_at, position)
SELECT 'r' || n, 'u', 'g', 1, '', '{}', now() - make_interval(secs => n),
    'r' || n / 2, mod(n, 10) = 0, CASE WHEN mod(n, 10) > 0 THEN now() END, n
FROM generate_series(1, %s) AS n
"""
"""A tenth of these are children that rest."""


@pytest.fixture
def stopped() -> list[str]:
    return []


@pytest.fixture
def sweeper(scene: Scene, stopped: list[str], monkeypatch: pytest.MonkeyPatch) -> Sweeper:
    """One that looks for forgotten runs each time."""
    monkeypatch.setattr(limits, "SWEEP_FORGOTTEN_SECONDS", 0.0)

    async def stop(run_id: str) -> None:
        stopped.append(run_id)

    return Sweeper(scene.log.pool, scene.client, stop)


async def swept_twice(scene: Scene, sweeper: Sweeper) -> list[str]:
    await scene.project()
    assert await sweeper.sweep() == []
    return await sweeper.sweep()


# --- dead workers ------------------------------------------------------------------------------


async def test_a_run_whose_worker_has_lost_its_lease_is_rung_for_at_once(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("dead", "late", "alive")
    await scene.lease("living", 60)
    await scene.lease("slow", -0.001)
    await scene.claim("dead", worker="gone")
    await scene.claim("late", worker="slow")
    await scene.claim("alive", worker="living")
    await scene.project()
    assert sorted(await sweeper.sweep()) == ["dead", "late"]
    assert sorted(await scene.rung(2)) == ["dead", "late"]


async def test_a_run_is_not_rung_for_again_at_once(
    scene: Scene, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.create("a")
    await scene.claim("a")
    await scene.project()
    assert await sweeper.sweep() == ["a"]
    assert await sweeper.sweep() == []
    monkeypatch.setattr(limits, "SWEEP_AGAIN_SECONDS", 0.0)
    assert await sweeper.sweep() == [], "its bell still waits for an executor"
    assert await scene.rung(1) == ["a"]
    assert await sweeper.sweep() == ["a"]


async def test_a_run_that_has_lost_its_next_worker_too_is_rung_for_at_once(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("a")
    await scene.claim("a")
    await scene.project()
    assert await sweeper.sweep() == ["a"]
    await scene.claim("a", worker="gone too")
    await scene.project()
    assert await sweeper.sweep() == ["a"]


async def test_a_run_that_rests_or_has_ended_has_no_worker_to_lose(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("a", "b")
    await scene.claim("a", "b")
    await scene.rest("a")
    await scene.end("b")
    assert await swept_twice(scene, sweeper) == []


# --- forgotten runs ----------------------------------------------------------------------------


async def test_a_queued_run_that_nobody_rang_for_is_rung_for_at_the_second_look(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("a")
    assert await swept_twice(scene, sweeper) == ["a"]
    assert await scene.bell() == Bell("a")


async def test_a_moment_that_has_passed_is_not_forgotten(scene: Scene, sweeper: Sweeper) -> None:
    await scene.create("a")
    await scene.claim("a")
    await scene.rest("a", until=PAST)
    assert await swept_twice(scene, sweeper) == ["a"]


async def test_the_end_of_a_child_is_not_forgotten(scene: Scene, sweeper: Sweeper) -> None:
    await scene.create("p")
    await scene.claim("p")
    await scene.create("c", parent="p")
    await scene.rest("p", seen=2)
    await scene.end("c", parent="p")
    assert await swept_twice(scene, sweeper) == ["p"]


async def test_a_run_that_waits_for_something_is_left_alone(scene: Scene, sweeper: Sweeper) -> None:
    await scene.create("paused", "resting", "ahead", "p")
    await scene.record("paused", RunPaused())
    await scene.claim("resting", "ahead", "p")
    await scene.create("c", parent="p")
    seen = await scene.end("c", parent="p")
    await scene.rest("resting")
    await scene.rest("ahead", until=datetime.max.replace(tzinfo=UTC))
    await scene.rest("p", seen=seen)
    assert await swept_twice(scene, sweeper) == []


async def test_of_each_user_one_is_rung_for_and_only_if_none_is_in_hand(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.lease("living", 60)
    await scene.create("a1", "a2", "a3")
    await scene.create("b1", "b2", user="bob")
    await scene.claim("b1", worker="living")
    assert await swept_twice(scene, sweeper) == ["a1"]


async def test_a_run_to_which_something_happened_meanwhile_is_not_forgotten(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("a")
    await scene.project()
    assert await sweeper.sweep() == []
    await scene.claim("a")
    await scene.rest("a", until=PAST)
    assert await swept_twice(scene, sweeper) == ["a"]


async def test_while_bells_wait_nobody_is_called_forgotten(scene: Scene, sweeper: Sweeper) -> None:
    await scene.create("a", "b")
    await scene.client.publish(nats.READY_SUBJECT, nats.encode_bell(Bell("a")))
    await eventually(partial(nats.waiting_bells, scene.client))
    assert await swept_twice(scene, sweeper) == []
    assert await scene.rung(1) == ["a"]
    assert await swept_twice(scene, sweeper) == ["a"]


# --- orphans -----------------------------------------------------------------------------------


async def test_unfinished_children_of_ended_parents_are_stopped(
    scene: Scene, sweeper: Sweeper, stopped: list[str]
) -> None:
    await scene.create("p", "q")
    await scene.create("p1", "p2", "p3", parent="p")
    await scene.create("q1", parent="q")
    await scene.end("p2", parent="p")
    await scene.claim("p3")
    await scene.record("p3", RunStopRequested())
    await scene.end("p")
    await scene.project()
    assert await sweeper.stop_orphans() == ["p1"]
    assert stopped == ["p1"]


async def test_an_orphan_that_cannot_be_stopped_now_does_not_keep_the_others_alive(
    scene: Scene,
) -> None:
    tried = []

    async def refuse(run_id: str) -> None:
        tried.append(run_id)
        raise Conflict("busy")

    await scene.create("p")
    await scene.create("c1", "c2", parent="p")
    await scene.end("p")
    await scene.project()
    await Sweeper(scene.log.pool, scene.client, refuse).stop_orphans()
    assert sorted(tried) == ["c1", "c2"]


async def test_stopping_an_orphan_ends_it(scene: Scene, streams: Streams) -> None:
    parent, child = str(ids.new_id()), str(ids.new_id())
    await scene.create(parent)
    await scene.create(child, parent=parent)
    await scene.end(parent)
    await scene.project()
    stop = partial(run_control.stop_orphan, streams)
    sweeper = Sweeper(scene.log.pool, scene.client, stop)
    assert await sweeper.stop_orphans() == [child]
    last = (await scene.log.read_stream(stream_of(child)))[-1].event
    assert isinstance(last, RunTerminated)
    assert last.parent == parent
    await scene.project()
    assert await sweeper.stop_orphans() == []


# --- cost --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        (module.FIND_ABANDONED, {"runs_in_hand"}),
        (module.FIND_FORGOTTEN, {"runs_queued", "runs_resting", "runs_called", "runs_in_hand"}),
        (module.FIND_ORPHANS, {"runs_orphaning", "runs_children"}),
    ],
)
async def test_sweeping_does_not_look_at_runs_that_have_ended(
    connection: AsyncConnection[Row], database_url: str, query: LiteralString, indexes: set[str]
) -> None:
    await connection.execute(FILL, (MANY,))
    async with await AsyncConnection.connect(database_url) as superuser:
        await superuser.execute("ANALYZE read.runs")
    cursor = await connection.execute("EXPLAIN " + query, (limits.SWEEP_RUNS_MAX,))
    plan = "\n".join(row[0] for row in await cursor.fetchall())
    assert {index for index in indexes if index in plan} == indexes
    assert "Seq Scan on runs" not in plan
