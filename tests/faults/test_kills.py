"""`kill -9` of anything, in the middle of runs: everything ends, once, and without help."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.crowds import EFFECT_CHAIN, crowd, seeded
from tests.faults.scene import Scene
from tests.support.processes import until

EVERYBODY = ("executor-1", "executor-2", "projector", "relay", "sweeper", "api", "nats", "postgres")


@pytest.mark.parametrize("victim", EVERYBODY)
async def test_whoever_is_killed_every_run_ends(whole: Scene, victim: str) -> None:
    with whole.effects.held():
        early = await crowd(whole)
        await whole.effects.asked(4)
        dead = await whole.cluster.kill(victim)
        late = await crowd(whole)
    await whole.cluster.replaced(victim, dead)
    await whole.settle(*early, *late)


async def test_everybody_is_killed_at_once(whole: Scene) -> None:
    chance = seeded()
    with whole.effects.held():
        batches = await crowd(whole)
        await whole.effects.asked(4)
        victims = chance.sample(EVERYBODY, len(EVERYBODY))
        dead = {victim: await whole.cluster.kill(victim) for victim in victims}
    for victim in victims:
        await whole.cluster.replaced(victim, dead[victim])
    await whole.settle(*batches)


async def test_everybody_is_killed_in_turn(whole: Scene) -> None:
    chance = seeded()
    batches = []
    for victim in chance.sample(EVERYBODY, len(EVERYBODY)):
        batch = await whole.start(EFFECT_CHAIN, runs=4)
        await whole.recorded(batch, chance.randint(4, 24))
        await whole.cluster.kill(victim)
        batches.append(batch)
    await whole.settle(*batches)


async def test_without_the_database_commands_are_refused_and_none_is_lost(whole: Scene) -> None:
    refused = whole.caller.refusals
    async with whole.cluster.without("postgres"):
        starting = asyncio.create_task(crowd(whole))
        await until(lambda: whole.caller.refusals > refused)
    await whole.settle(*await starting)
