"""Runs that wait for time: nobody has them in hand, and no death makes them late or early."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from domain.runs import NodeCompleted, NodeDeferred, RunSuspended
from runtime import nats
from runtime.embedded.nats import nats_url
from tests.faults.crowds import seeded
from tests.faults.graphs import EFFECT, PURE
from tests.faults.scene import ENDED, POLL_SECONDS, Batch, Scene
from tests.support.run_rules import Fact

HOUR = 3600.0
SHORT_SECONDS = 12.0
"""Longer than everything needs to come back."""
LATE = timedelta(seconds=1)
RESTED = "runs.RunSuspended@1"
CLAIMED = "runs.RunClaimed@1"


async def test_waits_survive_the_death_of_everything(crowded: Scene) -> None:
    chance = seeded()
    long = await crowded.start([PURE, HOUR, PURE])
    short = await crowded.start([PURE, SHORT_SECONDS, EFFECT])
    for batch in (long, short):
        await crowded.recorded(batch, 1, RESTED)
    before = await stream(crowded, long)
    *_, deferred, suspended = (fact.event for fact in before)
    assert isinstance(deferred, NodeDeferred)
    assert isinstance(suspended, RunSuspended)
    assert suspended.until == deferred.until

    await crowded.cluster.kill_everything()
    parts = sorted(crowded.cluster.names - {"up"})
    await crowded.cluster.start_again(chance.sample(parts, len(parts)))
    await crowded.ended(short)
    assert timedelta() <= await lateness(crowded, short) < LATE

    assert await stream(crowded, long) == before, "nobody has had it in hand since"
    run = await crowded.shown(long)
    (waiting,) = [node for node in run["node_executions"] if node["waits_until"] is not None]
    assert datetime.fromisoformat(waiting["waits_until"]) == deferred.until
    assert await crowded.caller.stop(long.graph_id, long.runs[0]) == "TERMINATED"
    await crowded.keeps_its_promises()


async def test_a_run_that_is_woken_up_too_early_does_not_rest_again_and_again(bare: Scene) -> None:
    """As it happens when the clock of whoever sends it is ahead."""
    async with bare.cluster.beside("executor", "patient"):
        batch = await bare.start([PURE, SHORT_SECONDS, PURE])
        await bare.recorded(batch, 1, RESTED)
        client = await nats.connect(nats_url(bare.cluster.settings), "test")
        wake_up = nats.encode_wake_up(nats.WakeUp(batch.runs[0]))
        while await bare.count(batch, ENDED) == 0:
            await client.publish(nats.READY_SUBJECT, wake_up)
            await asyncio.sleep(POLL_SECONDS)
        await client.close()
        await bare.settle(batch)
    assert timedelta() <= await lateness(bare, batch) < LATE
    assert await bare.count(batch, CLAIMED) == 2


async def stream(scene: Scene, batch: Batch) -> list[Fact]:
    """The events of the batch's only run."""
    return list((await scene.facts())[batch.runs[0]])


async def lateness(scene: Scene, batch: Batch) -> timedelta:
    """How long after its moment the run's wait was over, by the clock of the log."""
    facts = await stream(scene, batch)
    (deferred,) = (fact.event for fact in facts if isinstance(fact.event, NodeDeferred))
    (over,) = (
        fact.at
        for fact in facts
        if isinstance(fact.event, NodeCompleted) and fact.event.execution == deferred.execution
    )
    late = over - deferred.until
    print(f"the wait was over {late.total_seconds():.3f} s after its moment")
    return late
