"""What is at work goes on while the database is away, and nobody else begins it again."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from domain import limits
from tests.faults.graphs import EFFECT, PURE
from tests.faults.scene import END_SECONDS_MAX, POLL_SECONDS, scene

PLACES = 64
"""Runs of one graph that may be in hand at once."""
COUNT_TOPIC = "SELECT count(*) FROM log.history WHERE type = %s"
COUNT_IN_HAND = "SELECT count(*) FROM read.runs WHERE worker IS NOT NULL"
STARTED = "runs.NodeStarted@1"
RESTED = "runs.RunRested@1"


async def test_a_restart_of_the_database_repeats_no_effect(tmp_path: Path) -> None:
    async with scene(tmp_path, EVERGRAPH_EXECUTORS="2") as given:
        with given.effects.held():
            batch = await given.start([EFFECT, PURE], runs=40)
            await given.effects.asked(40)
            async with given.cluster.without("postgres"):
                pass
        await given.settle(batch)
        assert Counter(given.effects.seen.values()) == {1: 40}
        assert await given.count(batch, STARTED) == 40


async def test_an_outage_longer_than_a_lease_repeats_no_effect(tmp_path: Path) -> None:
    """When the database is back, all leases have run out, and their workers live."""
    async with scene(tmp_path, EVERGRAPH_EXECUTORS="2") as given:
        with given.effects.held():
            batch = await given.start([EFFECT, PURE], runs=40)
            await given.effects.asked(40)
            async with given.cluster.without("postgres"):
                await asyncio.sleep(2 * limits.LEASE_SECONDS)
            await given.cluster.recovered()
            await asyncio.sleep(2 * limits.LEASE_SECONDS)
        await given.settle(batch)
        assert Counter(given.effects.seen.values()) == {1: 40}
        assert await given.count(batch, STARTED) == 40


async def test_paused_runs_give_their_places_back_when_their_worker_dies(tmp_path: Path) -> None:
    async with scene(tmp_path) as given:
        with given.effects.held():
            batch = await given.start([EFFECT, PURE], runs=PLACES)
            await given.effects.asked(PLACES)
            await given.caller.ask("POST", f"/graphs/{batch.graph_id}/executions/pause")
            dead = await given.cluster.kill("executor-1")
            await given.cluster.replaced("executor-1", dead)
            await given.recorded(batch, PLACES, RESTED)
            async with asyncio.timeout(END_SECONDS_MAX):
                while await given.row(COUNT_IN_HAND) != (0,):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(POLL_SECONDS)
        late = await given.start_runs(batch.graph_id, 1)
        await given.recorded(batch._replace(runs=late), 1, "runs.RunCompleted@1")
        await given.caller.ask("POST", f"/graphs/{batch.graph_id}/executions/resume")
        await given.settle(batch)


async def test_two_executors_of_one_name_do_not_take_each_other_for_dead(tmp_path: Path) -> None:
    async with scene(tmp_path) as given, given.cluster.beside("executor", "executor-1"):
        with given.effects.held():
            batch = await given.start([EFFECT, PURE], runs=20)
            await given.effects.asked(20)
            # Long enough for leases to run out and for the sweeper to look.
            await asyncio.sleep(4 * limits.LEASE_SECONDS)
        await given.settle(batch)
        assert Counter(given.effects.seen.values()) == {1: 20}
