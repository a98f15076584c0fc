"""What is at work goes on while the database is away, and nobody else begins it again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from domain.limits import worker_limits
from tests.faults.graphs import EFFECT, PURE
from tests.faults.scene import END_SECONDS_MAX, POLL_SECONDS, Scene, scene
from tests.support.alone import END_SESSIONS

PLACES = 64
"""Runs of one graph that may be in hand at once."""
COUNT_TOPIC = "SELECT count(*) FROM log.history WHERE type = %s"
COUNT_IN_HAND = "SELECT count(*) FROM read.runs WHERE worker IS NOT NULL"
STARTED = "runs.NodeStarted@1"
RESTED = "runs.RunSuspended@1"


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
                await asyncio.sleep(2 * worker_limits.LEASE_SECONDS)
            await given.cluster.recovered()
            await asyncio.sleep(2 * worker_limits.LEASE_SECONDS)
        await given.settle(batch)
        assert Counter(given.effects.seen.values()) == {1: 40}
        assert await given.count(batch, STARTED) == 40


async def test_a_time_without_changes_ends_no_process_and_repeats_no_effect(tmp_path: Path) -> None:
    """As while another server is to take over."""
    async with scene(tmp_path, EVERGRAPH_EXECUTORS="2") as given:
        pids = given.cluster.pids()
        with given.effects.held():
            batch = await given.start([EFFECT, PURE], runs=40)
            await given.effects.asked(40)
            async with read_only(given):
                await asyncio.sleep(2 * worker_limits.LEASE_SECONDS)
            await given.cluster.recovered()
            await asyncio.sleep(2 * worker_limits.LEASE_SECONDS)
        await given.ended(batch)
        await given.keeps_its_promises(but={"append.refused"})
        assert given.cluster.pids() == pids
        assert Counter(given.effects.seen.values()) == {1: 40}


@asynccontextmanager
async def read_only(given: Scene) -> AsyncIterator[None]:
    """Whoever connects in this block, which all have to, may change nothing."""
    async with await given.cluster.connect() as superuser:
        await superuser.execute("SET default_transaction_read_only = off")
        await superuser.execute("ALTER DATABASE evergraph SET default_transaction_read_only = on")
        await superuser.execute(END_SESSIONS)
        yield
        await superuser.execute("ALTER DATABASE evergraph RESET default_transaction_read_only")
        await superuser.execute(END_SESSIONS)


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
            await asyncio.sleep(4 * worker_limits.LEASE_SECONDS)
        await given.settle(batch)
        assert Counter(given.effects.seen.values()) == {1: 20}
