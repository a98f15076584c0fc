"""The supervised processes die at the worst moments, again and again, and still get ahead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.graphs import EFFECT, PURE, Step
from tests.faults.scene import scene

DEATHS = 3
CHAIN: list[Step] = [PURE, EFFECT, 0.1, PURE]


@pytest.mark.parametrize(
    ("victim", "point"),
    [
        ("relay", "relay.read:kill9@3"),
        ("relay", "relay.published:kill9@2"),
        ("projector", "project.applied:kill9@2"),
        ("projector", "project.committed:kill9@2"),
    ],
)
async def test_what_was_half_done_is_done_again(tmp_path: Path, victim: str, point: str) -> None:
    async with scene(tmp_path, EVERGRAPH_FAILPOINT=point) as one:
        batches = []
        while one.cluster.deaths(victim) < DEATHS:
            batches.append(await one.start(CHAIN, runs=3))
            await one.ended(batches[-1])
        await one.settle(*batches)


@pytest.mark.parametrize("point", ["append.before:kill9@2", "append.committed:kill9@2"])
async def test_a_command_that_broke_off_is_done_once(tmp_path: Path, point: str) -> None:
    """Repeated under the same key it is done, or answered as it would have been the first time."""
    async with (
        scene(tmp_path, EVERGRAPH_FAILPOINT=point, EVERGRAPH_EXECUTORS="0") as one,
        one.cluster.beside("executor", "unharmed"),
    ):
        batch = await one.start(CHAIN, runs=3)
        assert one.caller.breaks > 0
        await one.settle(batch)
