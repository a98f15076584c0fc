"""Runs with runs as parts, whose workers die: the same parts are joined again, and none is left."""

from __future__ import annotations

import asyncio
import signal

import pytest

from domain.runs import ChildStarted, NodeStarted, RunClaimed, RunStopRequested, RunTerminated
from tests.faults.graphs import EFFECT
from tests.faults.scene import Batch, Scene

CHILDREN = 20
FEW = 3
STOP_REQUESTED = "runs.RunStopRequested@1"


async def test_a_parent_and_its_children_die_together(bare: Scene) -> None:
    """The parent is at work itself, so it is in hand too."""
    with bare.effects.held():
        async with bare.cluster.beside("executor", "a") as executor:
            family = await bare.start_family(CHILDREN, [EFFECT])
            await bare.effects.asked(CHILDREN + 1)
            executor.send(signal.SIGKILL)
            await executor.ended()
        before = await everybody(bare, family)
        assert len(before.runs) == CHILDREN + 1
        async with bare.cluster.beside("executor", "a"):
            await bare.effects.asked(2 * (CHILDREN + 1))
            bare.effects.release()
            await bare.settle(family)
    assert await everybody(bare, family) == before
    found = await bare.figures(before)
    assert found.repeated == found.in_flight == CHILDREN + 1


@pytest.mark.parametrize(
    ("point", "born"),
    [("append.committed:kill9@2", 1), ("result.appended:kill9@2", 1), ("append.before:kill9@3", 1)],
)
async def test_a_parent_dies_while_it_starts_children(bare: Scene, point: str, born: int) -> None:
    """The first append after its claim creates the first child."""
    async with bare.cluster.beside("executor", "a", EVERGRAPH_FAILPOINT=point) as executor:
        family = await bare.start_family(FEW, [EFFECT])
        assert await executor.ended() == -signal.SIGKILL
    before = await everybody(bare, family)
    assert len(before.runs) == 1 + born
    async with bare.cluster.beside("executor", "a"):
        await bare.settle(family)
    after = await everybody(bare, family)
    assert len(after.runs) == 1 + FEW
    assert after.runs[: 1 + born] == before.runs


async def test_a_family_is_stopped_while_nobody_can_stop_it(bare: Scene) -> None:
    """Its worker is dead; the next one ends all of it and begins nothing."""
    with bare.effects.held():
        async with bare.cluster.beside("executor", "a") as executor:
            family = await bare.start_family(FEW, [EFFECT])
            await bare.effects.asked(FEW + 1)
            executor.send(signal.SIGKILL)
            await executor.ended()
        stopping = asyncio.create_task(bare.caller.stop(family.graph_id, family.runs[0]))
        members = await everybody(bare, family)
        await bare.recorded(members, FEW + 1, STOP_REQUESTED)
        async with bare.cluster.beside("executor", "a"):
            assert await stopping == "TERMINATED"
            await bare.keeps_its_promises()
    facts = await bare.facts()
    for run_id in members.runs:
        kinds = [type(fact.event) for fact in facts[run_id]]
        behind = kinds[kinds.index(RunStopRequested) + 1 :]
        assert (behind[0], behind[-1]) == (RunClaimed, RunTerminated)
        assert NodeStarted not in behind
        assert ChildStarted not in behind


async def everybody(scene: Scene, family: Batch) -> Batch:
    """The batch's only run and its children, in the order in which they were started."""
    facts = (await scene.facts())[family.runs[0]]
    children = [fact.event.child for fact in facts if isinstance(fact.event, ChildStarted)]
    return Batch(family.graph_id, [*family.runs, *children], family.added)
