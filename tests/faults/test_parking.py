"""Blocks that take their process with them: they are given up, and nobody else is."""

from __future__ import annotations

import asyncio
import signal

import pytest

from blocks.contract import Block
from domain.limits import worker_limits
from domain.runs import NodeStarted, RunClaimed, RunFailed
from tests.faults.graphs import EFFECT, PURE, Other
from tests.faults.scene import END_SECONDS_MAX, POLL_SECONDS, Scene
from tests.support.plugin_blocks import EatsMemory, KillsItsProcess, KillsWhilePure
from tests.support.processes import limit, limits_of

EXECUTOR = "executor-1"
CLAIMED = "runs.RunClaimed@1"
FAILED = "runs.RunFailed@1"
IS_HELD = "SELECT count(*) FROM work.leases WHERE worker = %s AND expires_at > clock_timestamp()"
DEATHS = worker_limits.ALONE_DEATHS + worker_limits.ALONE_DEATHS_MAX
MEMORY_BYTES = 1024 * 1024 * 1024
"""Less than an executor may have, so that the test does not need the machine's."""


@pytest.mark.parametrize(
    ("block", "attempts"),
    [
        (KillsItsProcess, [(1, False), *((number, True) for number in range(2, DEATHS + 1))]),
        (KillsWhilePure, []),
    ],
)
async def test_a_run_that_kills_its_worker_is_parked_and_others_go_on(
    plugged: Scene, block: type[Block], attempts: list[tuple[int, bool]]
) -> None:
    """Each delivery is in the log before the run is handled, so deaths count too."""
    deaths = plugged.cluster.deaths(EXECUTOR)
    with plugged.effects.held():
        others = await plugged.start([EFFECT, PURE, EFFECT], runs=4)
        await plugged.effects.asked(4)
        killer = await plugged.start([PURE, Other(block)])
        await plugged.recorded(killer, worker_limits.SUSPECT_DEATHS, CLAIMED)
    await plugged.recorded(killer, 1, FAILED)
    await plugged.settle(others)
    assert plugged.cluster.deaths(EXECUTOR) == deaths + DEATHS
    events = [fact.event for fact in (await plugged.facts())[killer.runs[0]]]
    assert sum(isinstance(event, RunClaimed) for event in events) == DEATHS + 1
    starts = [(e.attempt, e.repeats) for e in events if isinstance(e, NodeStarted)]
    assert starts == attempts
    assert isinstance(events[-1], RunFailed)
    assert events[-1].error.startswith("Parked: ")
    assert (await plugged.shown(killer))["stats"]["error"] == events[-1].error
    found = await plugged.figures(others)
    assert 4 <= found.repeated <= 4 * DEATHS


async def test_the_executor_lives_on_afterwards(plugged: Scene) -> None:
    pid = plugged.cluster.pids()[EXECUTOR]
    await plugged.settle(await plugged.start([EFFECT] * 3, runs=8))
    assert plugged.cluster.pids()[EXECUTOR] == pid


async def test_innocent_runs_survive_four_kills_within_one_effect(plugged: Scene) -> None:
    """They were only there when something ended their worker: none is given up for that."""
    runs = 30
    with plugged.effects.held():
        batch = await plugged.start([EFFECT, PURE], runs)
        for kill in range(1, 4):
            await plugged.effects.asked(kill * runs)
            await plugged.cluster.replaced(EXECUTOR, await plugged.cluster.kill(EXECUTOR))
        await plugged.effects.asked(3 * runs + 1)
        await plugged.cluster.replaced(EXECUTOR, await plugged.cluster.kill(EXECUTOR))
    await plugged.settle(batch)
    facts = await plugged.facts()
    claims = [f.event for run in batch.runs for f in facts[run] if isinstance(f.event, RunClaimed)]
    assert any(claim.alone for claim in claims)


async def test_a_run_that_lives_lets_others_begin_beside_it(plugged: Scene) -> None:
    """The watch ends although nothing came of the run yet."""
    with plugged.effects.held():
        batch = await plugged.start([EFFECT], 2)
        for kill in range(1, 4):
            await plugged.effects.asked(kill * 2)
            await plugged.cluster.replaced(EXECUTOR, await plugged.cluster.kill(EXECUTOR))
        await plugged.effects.asked(4 * 2)
    await plugged.settle(batch)
    facts = await plugged.facts()
    for run_id in batch.runs:
        claims = [f.event for f in facts[run_id] if isinstance(f.event, RunClaimed)]
        assert sum(claim.alone for claim in claims) == 1


async def test_a_block_that_wants_all_memory_fails_alone(plugged: Scene) -> None:
    await plugged.settle(await plugged.start([EFFECT]))
    pid = plugged.cluster.pids()[EXECUTOR]
    bound, _ = limits_of(pid, "Max address space")
    assert bound == str(worker_limits.EXECUTOR_MEMORY_BYTES_MAX)
    limit(pid, "as", MEMORY_BYTES, MEMORY_BYTES)
    with plugged.effects.held():
        others = await plugged.start([EFFECT, PURE, EFFECT], runs=4)
        await plugged.effects.asked(4)
        hungry = await plugged.start([PURE, Other(EatsMemory)])
        await plugged.ended(hungry)
    await plugged.ended(others)
    run = await plugged.shown(hungry)
    assert (run["status"], run["outcome"]) == ("COMPLETED", "completed_with_errors")
    (failed,) = [e for e in run["node_executions"] if e["block_id"] == EatsMemory.id]
    assert failed["status"] == "FAILED"
    assert failed["error"].startswith("MemoryError")
    assert plugged.cluster.pids()[EXECUTOR] == pid
    await plugged.keeps_its_promises(but={"node.raised"})
    assert (await plugged.figures(others)).repeated == 0


async def test_an_executor_that_stands_still_has_not_died(whole: Scene) -> None:
    """However often its lease runs out while a run is in its hands, that proves nothing."""
    times = worker_limits.ALONE_DEATHS + 1
    with whole.effects.held():
        batch = await whole.start([EFFECT])
        for time in range(1, times + 1):
            await whole.effects.asked(time)
            claims = [fact.event for fact in (await whole.facts())[batch.runs[0]]]
            worker = [event for event in claims if isinstance(event, RunClaimed)][-1].worker
            name = worker.partition("/")[0]
            await whole.cluster.send(name, signal.SIGSTOP)
            await whole.recorded(batch, time + 1, CLAIMED)
            await whole.cluster.send(name, signal.SIGCONT)
            async with asyncio.timeout(END_SECONDS_MAX):
                while await whole.row(IS_HELD, worker) != (1,):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(POLL_SECONDS)
    await whole.settle(batch)
    claims = [fact.event for fact in (await whole.facts())[batch.runs[0]]]
    assert not any(isinstance(event, RunClaimed) and event.alone for event in claims)
