"""64 chains of 10 effects, and somebody dies in the middle of them.

What peers do in the same test, of 640 effects at a kill of the worker: DBOS repeats 40, Restate 53,
LangGraph 63; n8n leaves all 64 runs crashed for good.
"""

from __future__ import annotations

import signal

import pytest

from tests.faults.crowds import seeded
from tests.faults.graphs import EFFECT, Step
from tests.faults.scene import Batch, Scene

RUNS = 64
CHAIN: list[Step] = [EFFECT] * 10
EFFECTS = RUNS * len(CHAIN)
SECONDS_MAX = 5.0
ROUNDS = 3


@pytest.mark.parametrize(
    "point",
    [
        "lease.taken:kill9@1",
        "effect.started:kill9@200",
        "effect.done:kill9@320",
        "result.appended:kill9@400",
    ],
)
async def test_the_executor_dies(bare: Scene, point: str) -> None:
    async with bare.cluster.beside("executor", "a", EVERGRAPH_FAILPOINT=point) as executor:
        batch = await bare.start(CHAIN, RUNS)
        assert await executor.ended() == -signal.SIGKILL
    await takes_over(bare, batch)


async def test_the_executor_dies_with_all_wake_ups_in_its_hands(bare: Scene) -> None:
    """It has claimed nothing yet; nobody but it knows its wake-ups."""
    batch = await bare.start(CHAIN, RUNS)
    point = "append.before:kill9@1"
    async with bare.cluster.beside("executor", "a", EVERGRAPH_FAILPOINT=point) as executor:
        assert await executor.ended() == -signal.SIGKILL
    await takes_over(bare, batch)


async def test_an_executor_sleeps_past_its_lease_and_wakes(bare: Scene) -> None:
    async with bare.cluster.beside("executor", "sleeper") as sleeper:
        with bare.effects.held():
            batch = await bare.start(CHAIN, RUNS)
            await bare.effects.asked(RUNS)
            sleeper.send(signal.SIGSTOP)
        async with bare.cluster.beside("executor", "other"):
            await bare.settle(batch)
            sleeper.send(signal.SIGCONT)
            await sleeper.logs("run.lost")
            await bare.settle(await bare.start(CHAIN))
    found = await bare.figures(batch)
    assert found.in_flight == found.repeated == RUNS


async def test_everything_dies_and_comes_back_in_any_order(crowded: Scene) -> None:
    """Again and again; all runs complete within 5 s of the first claim after the restart.

    What comes back last is not known, and so not when the whole is back: the first claim is when
    one of the executors is at work again.
    """
    chance = seeded()
    for _ in range(ROUNDS):
        batch = await crowded.start(CHAIN, RUNS)
        await crowded.recorded(batch, chance.randint(RUNS, EFFECTS))
        await crowded.cluster.kill_everything()
        parts = sorted(crowded.cluster.names - {"up"})
        await crowded.cluster.start_again(chance.sample(parts, len(parts)))
        await crowded.settle(batch)
        found = await crowded.figures(batch)
        assert found.effects == EFFECTS
        assert found.repeated <= found.in_flight <= RUNS
        assert found.seconds < SECONDS_MAX


async def takes_over(scene: Scene, batch: Batch) -> None:
    """An executor that is started now completes all runs, at the latest 5 s after it is ready.

    A machine may take its time to load a program; from then on, nothing but Evergraph does.
    """
    async with scene.cluster.beside("executor", "a"):
        await scene.settle(batch)
    found = await scene.figures(batch)
    seconds = (found.ended_at - scene.cluster.ready_at("a")).total_seconds()
    print(f"all ended {seconds:.2f} s after the executor was ready")
    assert found.effects == EFFECTS
    assert found.repeated <= found.in_flight <= RUNS
    assert seconds < SECONDS_MAX
