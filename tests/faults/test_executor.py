"""An executor that dies, sleeps or leaves at the worst moment: no effect is lost or hidden."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest

from domain.limits import worker_limits
from domain.runs import stream_of
from tests.faults.graphs import EFFECT, PURE, Step
from tests.faults.scene import ENDED, Scene

CHAIN: list[Step] = [PURE, EFFECT, EFFECT, PURE, EFFECT]
"""Its appends: the claim; the first intent; a result with the next intent, twice; the last result
with the end."""

ONCE = (1, 1)
UNSEEN = (2, 1)
"""Begun twice and seen once: the first attempt died before it left."""
REPEATED = (2, 2)

WAIT_SECONDS = 5.0
LATE = timedelta(seconds=1)
SELECT_WAITING = """
SELECT
    count(*) FILTER (WHERE type = 'runs.NodeDeferred'),
    max((data->>'until')::timestamptz),
    max(recorded_at) FILTER (WHERE type = 'runs.RunCompleted')
FROM log.history WHERE stream = %s
"""
COUNT_LEASES = "SELECT count(*) FROM work.leases WHERE name = %s"


@pytest.mark.parametrize(
    ("point", "effects"),
    [
        ("lease.taken:kill9@1", [ONCE, ONCE, ONCE]),
        ("append.before:kill9@1", [ONCE, ONCE, ONCE]),
        ("result.appended:kill9@1", [ONCE, ONCE, ONCE]),
        ("append.before:kill9@2", [ONCE, ONCE, ONCE]),
        ("append.committed:kill9@2", [UNSEEN, ONCE, ONCE]),
        ("result.appended:kill9@2", [UNSEEN, ONCE, ONCE]),
        ("effect.started:kill9@1", [UNSEEN, ONCE, ONCE]),
        ("effect.done:kill9@1", [REPEATED, ONCE, ONCE]),
        ("append.before:kill9@3", [REPEATED, ONCE, ONCE]),
        ("result.appended:kill9@3", [ONCE, UNSEEN, ONCE]),
        ("effect.done:kill9@3", [ONCE, ONCE, REPEATED]),
        ("append.before:kill9@5", [ONCE, ONCE, REPEATED]),
        ("result.appended:kill9@5", [ONCE, ONCE, ONCE]),
    ],
)
async def test_only_what_was_in_flight_is_repeated(
    bare: Scene, point: str, effects: list[tuple[int, int]]
) -> None:
    batch = await bare.start(CHAIN)
    async with bare.cluster.beside("executor", "a", EVERGRAPH_FAILPOINT=point) as executor:
        assert await executor.ended() == -signal.SIGKILL
    async with bare.cluster.beside("executor", "a"):
        await bare.settle(batch)
    assert await bare.attempted(batch) == effects


async def test_one_that_leaves_in_order_lets_another_go_on_at_once(bare: Scene) -> None:
    async with bare.cluster.beside("executor", "leaving") as executor:
        with bare.effects.held():
            batch = await bare.start(CHAIN)
            await bare.effects.asked(1)
            executor.send(signal.SIGTERM)
            assert await executor.ended() == 0
    assert await bare.row(COUNT_LEASES, "leaving") == (0,)
    async with bare.cluster.beside("executor", "next"):
        await bare.settle(batch)
    assert await bare.attempted(batch) == [REPEATED, ONCE, ONCE]


@pytest.mark.parametrize("wakes", ["during", "after"])
async def test_one_that_sleeps_through_its_lease_is_fenced(bare: Scene, wakes: str) -> None:
    async with bare.cluster.beside("executor", f"sleeper-{wakes}") as sleeper:
        with bare.effects.held():
            batch = await bare.start(CHAIN)
            await bare.effects.asked(1)
            sleeper.send(signal.SIGSTOP)
            async with bare.cluster.beside("executor", "other"):
                await bare.effects.asked(2)
                if wakes == "during":
                    sleeper.send(signal.SIGCONT)
                bare.effects.release()
                await bare.settle(batch)
        sleeper.send(signal.SIGCONT)
        await sleeper.logs("run.lost")
        again = await bare.start(CHAIN)
        await bare.settle(batch, again)
    assert await bare.attempted(batch) == [REPEATED, ONCE, ONCE]


async def test_runs_that_wait_keep_no_other_from_running(bare: Scene) -> None:
    waiting = await bare.start([WAIT_SECONDS, PURE], runs=worker_limits.EXECUTOR_RUNS_MAX + 1)
    async with bare.cluster.beside("executor", "a"):
        await bare.recorded(waiting, len(waiting.runs), "runs.NodeDeferred@1")
        quick = await bare.start([PURE])
        await bare.ended(quick)
        assert await bare.count(waiting, ENDED) == 0
        await bare.settle(waiting, quick)


async def test_a_wait_is_not_prolonged_by_a_death(bare: Scene) -> None:
    async with bare.cluster.beside("executor", "a") as executor:
        batch = await bare.start([PURE, WAIT_SECONDS, PURE])
        await bare.recorded(batch, 1, "runs.NodeDeferred@1")
        executor.send(signal.SIGKILL)
        await executor.ended()
    async with bare.cluster.beside("executor", "a"):
        await bare.settle(batch)
    deferred, until, ended = await bare.row(SELECT_WAITING, stream_of(batch.runs[0]))
    assert deferred == 1
    assert timedelta() <= ended - until < LATE
