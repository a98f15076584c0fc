"""What moves although nobody cared for it any more."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest

from commands.runs import control
from domain import events
from domain.errors import Conflict
from domain.limits import worker_limits
from domain.runs import RunClaimed, RunPaused, RunStopRequested, RunTerminated, stream_of
from projections.runner import reset
from projections.runs.read_model import RunsProjection
from runtime import ids, nats
from runtime.aggregates.repository import Repository
from runtime.broker import Broker
from runtime.eventlog.append import StreamWrite
from runtime.eventlog.mapper import Encoded
from runtime.nats import WakeUp
from tests.support.log import ORIGIN, eventually, whole_stream
from tests.workers.scene import Scene
from workers.sweeper import Sweeper

PAST = datetime(2026, 1, 1, tzinfo=UTC)


async def swept_twice(scene: Scene, sweeper: Sweeper) -> list[str]:
    await scene.project()
    assert await sweeper.sweep() == []
    return await sweeper.sweep()


# --- dead workers ------------------------------------------------------------------------------


async def test_a_run_whose_worker_has_lost_its_lease_is_woken_up_at_once(
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
    assert sorted(await scene.woken(2)) == ["dead", "late"]


async def test_a_run_is_not_woken_up_again_at_once(
    scene: Scene, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.create("a")
    await scene.claim("a")
    await scene.project()
    assert await sweeper.sweep() == ["a"]
    assert await sweeper.sweep() == []
    monkeypatch.setattr(worker_limits, "SWEEP_AGAIN_SECONDS", 0.0)
    assert await sweeper.sweep() == [], "its wake-up still waits for an executor"
    assert await scene.woken(1) == ["a"]
    assert await sweeper.sweep() == ["a"]


async def test_a_run_that_has_lost_its_next_worker_too_is_woken_up_at_once(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("a")
    await scene.claim("a")
    await scene.project()
    assert await sweeper.sweep() == ["a"]
    await scene.claim("a", worker="gone too")
    await scene.project()
    assert await sweeper.sweep() == ["a"]


async def test_a_run_that_is_suspended_or_has_ended_has_no_worker_to_lose(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("a", "b")
    await scene.claim("a", "b")
    await scene.suspend("a")
    await scene.end("b")
    assert await swept_twice(scene, sweeper) == []


async def test_a_lease_that_nobody_could_renew_is_not_believed_to_have_run_out(
    scene: Scene, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it looks when the database has just come back. One that was ended is gone."""
    monkeypatch.setattr(worker_limits, "LEASE_SECONDS", 3_600.0)
    await scene.create("ended", "slow")
    await scene.lease("slow", -0.001)
    await scene.claim("ended", worker="ended")
    await scene.claim("slow", worker="slow")
    await scene.project()
    assert await sweeper.sweep() == ["ended"]
    assert await sweeper.sweep() == []


# --- dead workers, while nobody projects -------------------------------------------------------


async def test_a_claim_that_is_not_projected_is_seen(scene: Scene, sweeper: Sweeper) -> None:
    await scene.lease("living", 60)
    await scene.create("alive", "suspended", "ended", "dead")
    await scene.claim("suspended", "ended", "dead")
    await scene.claim("alive", worker="living")
    await scene.suspend("suspended")
    await scene.end("ended")
    assert await sweeper.sweep() == ["dead"]
    await scene.claim("suspended")
    assert await sweeper.sweep() == ["suspended"]


async def test_a_run_is_woken_up_once_although_it_is_found_twice(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("a", "b")
    await scene.claim("a")
    await scene.project()
    await scene.record("a", RunPaused())
    await scene.claim("a", "b")
    assert sorted(await sweeper.sweep()) == ["a", "b"]
    await scene.project()
    assert await sweeper.sweep() == []


async def test_what_has_ended_is_let_go_although_the_read_model_has_it_in_hand(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("a")
    await scene.claim("a")
    await scene.project()
    await scene.end("a")
    assert await sweeper.sweep() == []


async def test_a_read_model_that_is_built_anew_hides_nobody(
    scene: Scene, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_limits, "SWEEP_AGAIN_SECONDS", 0.0)
    await scene.create("a")
    await scene.claim("a")
    await scene.project()
    assert await sweeper.sweep() == ["a"]
    assert await scene.woken(1) == ["a"]
    await reset(scene.connection, RunsProjection())
    assert await sweeper.sweep() == ["a"]


async def test_a_claim_that_cannot_be_read_hides_no_other(scene: Scene, sweeper: Sweeper) -> None:
    await scene.create("poisoned", "a")
    nonsense = Encoded(events.topic_of(RunClaimed), b"[]")
    await scene.log.append([StreamWrite(stream_of("poisoned"), 1, [nonsense])], ORIGIN)
    await scene.claim("a")
    assert await sweeper.sweep() == ["a"]


# --- forgotten runs ----------------------------------------------------------------------------


async def test_a_queued_run_that_nobody_woke_up_is_woken_up_at_the_second_look(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("a")
    assert await swept_twice(scene, sweeper) == ["a"]
    assert await scene.wake_up() == WakeUp("a")


async def test_a_moment_that_has_passed_is_not_forgotten(scene: Scene, sweeper: Sweeper) -> None:
    await scene.create("a")
    await scene.claim("a")
    await scene.suspend("a", until=PAST)
    assert await swept_twice(scene, sweeper) == ["a"]


async def test_the_end_of_a_child_is_not_forgotten(scene: Scene, sweeper: Sweeper) -> None:
    await scene.create("p")
    await scene.claim("p")
    await scene.create("c", parent="p")
    await scene.suspend("p", seen=2)
    await scene.end("c", parent="p")
    assert await swept_twice(scene, sweeper) == ["p"]


async def test_a_run_that_waits_for_something_is_left_alone(scene: Scene, sweeper: Sweeper) -> None:
    await scene.create("paused", "resting", "ahead", "p")
    await scene.record("paused", RunPaused())
    await scene.claim("resting", "ahead", "p")
    await scene.create("c", parent="p")
    seen = await scene.end("c", parent="p")
    await scene.suspend("resting")
    await scene.suspend("ahead", until=datetime.max.replace(tzinfo=UTC))
    await scene.suspend("p", seen=seen)
    assert await swept_twice(scene, sweeper) == []


async def test_of_each_user_one_is_woken_up_and_only_if_none_is_in_hand(
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
    await scene.suspend("a", until=PAST)
    assert await swept_twice(scene, sweeper) == ["a"]


async def test_while_wake_ups_wait_nobody_is_called_forgotten(
    scene: Scene, sweeper: Sweeper
) -> None:
    await scene.create("a", "b")
    await scene.client.publish(nats.READY_SUBJECT, nats.encode_wake_up(WakeUp("a")))
    await eventually(partial(nats.waiting_wake_ups, scene.client))
    assert await swept_twice(scene, sweeper) == []
    assert await scene.woken(1) == ["a"]
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


@pytest.mark.parametrize("error", [Conflict("busy"), ValueError("unreadable")])
async def test_an_orphan_that_cannot_be_stopped_does_not_keep_the_others_alive(
    scene: Scene, broker: Broker, error: Exception
) -> None:
    tried = []

    async def refuse(run_id: str) -> None:
        tried.append(run_id)
        raise error

    await scene.create("p")
    await scene.create("c1", "c2", parent="p")
    await scene.end("p")
    await scene.project()
    await Sweeper(scene.log.pool, broker, refuse).stop_orphans()
    assert sorted(tried) == ["c1", "c2"]


async def test_stopping_an_orphan_ends_it(
    scene: Scene, broker: Broker, repository: Repository
) -> None:
    parent, child = str(ids.new_id()), str(ids.new_id())
    await scene.create(parent)
    await scene.create(child, parent=parent)
    await scene.end(parent)
    await scene.project()
    stop = partial(control.stop_orphan, repository)
    sweeper = Sweeper(scene.log.pool, broker, stop)
    assert await sweeper.stop_orphans() == [child]
    last = (await whole_stream(scene.log, stream_of(child)))[-1].event
    assert isinstance(last, RunTerminated)
    assert last.parent == parent
    await scene.project()
    assert await sweeper.stop_orphans() == []
