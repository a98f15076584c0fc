"""An effect that happened when its worker died, and that nobody has noted: what its policy says."""

from __future__ import annotations

import signal

import pytest

from blocks.web import SendWebRequest
from tests.faults.graphs import PURE, Doubted
from tests.faults.scene import Attempted, Batch, Scene
from tests.support.graphs import Document
from workers.executor.node_starter import IN_DOUBT, REJECTED

REVIEW = "runs.ReviewRequested@1"
REST = "runs.RunSuspended@1"


async def test_it_is_repeated_and_the_log_says_so(bare: Scene) -> None:
    batch = await doubtful(bare, "repeat")
    async with bare.cluster.beside("executor", "a"):
        await bare.settle(batch)
    assert await bare.attempted(batch) == [Attempted(attempts=2, seen=2)]
    assert (await effect(bare, batch))["repeated"]


async def test_its_node_fails_and_says_why(bare: Scene) -> None:
    batch = await doubtful(bare, "fail")
    async with bare.cluster.beside("executor", "a"):
        await bare.ended(batch)
        await fails_with(bare, batch, IN_DOUBT)
        await bare.keeps_its_promises()
    assert await bare.attempted(batch) == [Attempted(attempts=1, seen=1)]


@pytest.mark.parametrize("approved", [True, False])
async def test_a_person_is_asked(bare: Scene, approved: bool) -> None:
    batch = await doubtful(bare, "ask")
    async with bare.cluster.beside("executor", "a"):
        await bare.recorded(batch, 1, REST)
        assert (await bare.shown(batch))["status"] == "REVIEW"
        asked = await effect(bare, batch)
        assert (asked["status"], asked["review"]["reason"]) == ("REVIEW", "in_doubt")
        assert asked["input_data"]["body"] == {"number": 0}
        await bare.caller.review(asked["node_exec_id"], approved=approved)
        await bare.ended(batch)
        if approved:
            await bare.settle(batch)
        else:
            await fails_with(bare, batch, REJECTED)
            await bare.keeps_its_promises()
    times = 2 if approved else 1
    assert await bare.attempted(batch) == [Attempted(attempts=times, seen=times)]


async def doubtful(scene: Scene, in_doubt: str) -> Batch:
    """A run whose worker has died between its effect and the note of it."""
    point = "effect.done:kill9@1"
    async with scene.cluster.beside("executor", "a", EVERGRAPH_FAILPOINT=point) as executor:
        batch = await scene.start([Doubted(in_doubt), PURE])
        assert await executor.ended() == -signal.SIGKILL
    return batch


async def fails_with(scene: Scene, batch: Batch, error: str) -> None:
    failed = await effect(scene, batch)
    assert (failed["status"], failed["error"]) == ("FAILED", error)
    run = await scene.shown(batch)
    assert (run["status"], run["outcome"]) == ("COMPLETED", "completed_with_errors")
    assert run["outputs"] == {}


async def effect(scene: Scene, batch: Batch) -> Document:
    """The one effect of the run, as the API shows it."""
    executions = (await scene.shown(batch))["node_executions"]
    (found,) = [node for node in executions if node["block_id"] == SendWebRequest.id]
    return dict(found)
