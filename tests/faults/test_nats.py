"""The wake_up is lost, late, doubled, out of order or forged: delays, and nothing else."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from domain.runs import stream_of
from runtime import ids
from runtime.embedded.nats import nats_url
from runtime.nats import NUDGE_SUBJECT, READY_SUBJECT, STREAM, WakeUp, encode_wake_up
from tests.faults.crowds import EFFECT_CHAIN, crowd, seeded
from tests.faults.graphs import PURE
from tests.faults.scene import POLL_SECONDS, Batch, Scene

OUTAGE_SECONDS = 60
PER_SECOND = 2
"""Runs that are started in each second of the outage."""
BACK_SECONDS_MAX = 10.0
TIMES = 4
"""How often each wake_up is heard again."""
ROUNDS = 4
NOW = "SELECT clock_timestamp()"
CREATED = """
SELECT state FROM log.stored_events WHERE originator_id = %s AND originator_version = 1
"""


async def test_a_minute_without_it_delays_and_loses_nothing(whole: Scene) -> None:
    """What executors have in hand ends; what is started waits, and ends soon after its return.

    It comes back without anything that it knew.
    """
    with whole.effects.held():
        early = await whole.start(EFFECT_CHAIN, runs=4)
        await whole.effects.asked(4)
        async with whole.cluster.without("nats"):
            shutil.rmtree(whole.cluster.settings.data_dir / "nats" / "jetstream")
            whole.effects.release()
            await whole.ended(early)
            late = [await a_second_of_load(whole) for _ in range(OUTAGE_SECONDS)]
            in_time = await whole.count(late[0])
            (returned,) = await whole.row(NOW)
    after = await crowd(whole)
    await whole.settle(early, *late, *after)
    facts = await whole.facts()
    last = max(facts[run_id][-1].at for batch in late for run_id in batch.runs)
    seconds = (last - returned).total_seconds()
    print(f"the runs of the outage ended {seconds:.2f} s after its end; events before: {in_time}")
    assert seconds < BACK_SECONDS_MAX


async def a_second_of_load(scene: Scene) -> Batch:
    batch, _ = await asyncio.gather(scene.start(EFFECT_CHAIN, PER_SECOND), asyncio.sleep(1))
    return batch


async def test_wake_ups_are_doubled_shuffled_and_forged(whole: Scene) -> None:
    chance = seeded()
    deaths = sum(map(whole.cluster.deaths, ("executor-1", "executor-2", "relay")))
    batches: list[Batch] = []
    async with echo(whole, chance) as heard:
        for _ in range(ROUNDS):
            batches += await crowd(whole)
            await whole.ended(await whole.start([PURE]))
        for batch in batches:
            await whole.ended(batch)
        assert len(heard) >= len(batches)
        await heard.forge()
        batches += await crowd(whole)
        await whole.settle(*batches)
    assert sum(map(whole.cluster.deaths, ("executor-1", "executor-2", "relay"))) == deaths


@pytest.mark.parametrize("is_of_this_log", [True, False])
async def test_a_wake_up_for_a_run_that_the_log_does_not_know_starts_nothing(
    whole: Scene, is_of_this_log: bool
) -> None:
    """Nor does one that says how the run was created, as after a backup was restored."""
    epoch = (await whole.row("SELECT log.epoch()"))[0] if is_of_this_log else "another"
    known = await whole.start(EFFECT_CHAIN)
    await whole.ended(known)
    (created,) = await whole.row(CREATED, stream_of(known.runs[0]))
    forged = Batch(known.graph_id, [str(ids.new_id()) for _ in range(8)], known.added)
    seen = dict(whole.effects.seen)
    client = await nats.connect(nats_url(whole.cluster.settings))
    try:
        for run_id in forged.runs:
            wake_up = encode_wake_up(WakeUp(run_id, created, epoch=epoch))
            await client.jetstream().publish(READY_SUBJECT, wake_up)
        async with asyncio.timeout(BACK_SECONDS_MAX):
            # A wake_up is kept until an executor has said that the run is in hand or wants nobody.
            while (await client.jetstream().stream_info(STREAM)).state.messages:  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await client.close()
    assert await whole.count(forged, None) == 0
    assert whole.effects.seen == seen
    await whole.settle(known)


class Echo:
    """Says what it hears again, and what it heard before, several times and in any order."""

    def __init__(self, client: Client, chance: random.Random) -> None:
        self._client = client
        self._chance = chance
        self._heard: list[Msg] = []

    def __len__(self) -> int:
        return len(self._heard)

    async def hear(self, message: Msg) -> None:
        self._heard.append(message)
        for _ in range(TIMES):
            again = self._chance.choice([message, *self._heard])
            await self._client.publish(again.subject, again.data)

    async def forge(self) -> None:
        """Send wake-ups for runs that there are not, and such as nobody sends."""
        unknown = (str(ids.new_id()), "no id")
        nonsense = (b"", b"\xc1", b"\xff" * 10, b"{}")
        for run_id in unknown:
            await self._client.publish(READY_SUBJECT, encode_wake_up(WakeUp(run_id)))
            await self._client.publish(NUDGE_SUBJECT, run_id.encode())
        for data in nonsense:
            await self._client.publish(READY_SUBJECT, data)
            await self._client.publish(NUDGE_SUBJECT, data)
        await self._client.flush()


@asynccontextmanager
async def echo(scene: Scene, chance: random.Random) -> AsyncIterator[Echo]:
    client = await nats.connect(nats_url(scene.cluster.settings), no_echo=True)
    try:
        one = Echo(client, chance)
        for subject in (READY_SUBJECT, NUDGE_SUBJECT):
            await client.subscribe(subject, cb=one.hear)
        yield one
    finally:
        await client.close()
