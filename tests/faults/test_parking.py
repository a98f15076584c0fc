"""Blocks that take their process with them: they are given up, and nobody else is."""

from __future__ import annotations

import resource

import pytest

from blocks.contract import Block
from domain import limits
from domain.runs import NodeStarted, RunClaimed, RunFailed
from tests.faults.graphs import EFFECT, PURE, Other
from tests.faults.scene import Scene
from tests.support.plugin_blocks import EatsMemory, KillsItsProcess, KillsWhilePure

EXECUTOR = "executor-1"
CLAIMED = "runs.RunClaimed@1"
FAILED = "runs.RunFailed@1"
MEMORY_BYTES = 1024 * 1024 * 1024
"""Less than an executor may have, so that the test does not need the machine's."""


@pytest.mark.parametrize(
    ("block", "attempts"),
    [(KillsItsProcess, [(1, False), (2, True), (3, True)]), (KillsWhilePure, [])],
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
        await plugged.recorded(killer, limits.DELIVERIES_MAX - 1, CLAIMED)
    await plugged.recorded(killer, 1, FAILED)
    await plugged.settle(others)
    assert plugged.cluster.deaths(EXECUTOR) == deaths + limits.DELIVERIES_MAX
    events = [fact.event for fact in (await plugged.facts())[killer.runs[0]]]
    assert sum(isinstance(event, RunClaimed) for event in events) == limits.DELIVERIES_MAX + 1
    starts = [(e.attempt, e.repeats) for e in events if isinstance(e, NodeStarted)]
    assert starts == attempts
    assert isinstance(events[-1], RunFailed)
    assert events[-1].error.startswith("Parked: ")
    assert (await plugged.shown(killer))["stats"]["error"] == events[-1].error
    found = await plugged.figures(others)
    assert 4 <= found.repeated <= 4 * limits.DELIVERIES_MAX


async def test_the_executor_lives_on_afterwards(plugged: Scene) -> None:
    pid = plugged.cluster.pids()[EXECUTOR]
    await plugged.settle(await plugged.start([EFFECT] * 3, runs=8))
    assert plugged.cluster.pids()[EXECUTOR] == pid


async def test_a_block_that_wants_all_memory_fails_alone(plugged: Scene) -> None:
    await plugged.settle(await plugged.start([EFFECT]))
    pid = plugged.cluster.pids()[EXECUTOR]
    bound, _ = resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY_BYTES,) * 2)
    assert bound == limits.EXECUTOR_MEMORY_BYTES_MAX
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
