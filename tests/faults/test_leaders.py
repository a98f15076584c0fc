"""A projector or relay that hangs or dies is followed by another, and does no harm afterwards."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from runtime import clock
from tests.faults.graphs import EFFECT, PURE, Step
from tests.faults.scene import Scene, scene
from tests.support.cluster import Entry, Process
from tests.support.processes import is_stopped, until

FAILOVER_SECONDS_MAX = 15.0
CHAIN: list[Step] = [PURE, EFFECT, 0.1, PURE]
POSITIONS = (
    "SELECT array_agg(notification_id ORDER BY application_name) FROM log.notification_tracking"
)


@pytest.mark.parametrize(
    ("role", "point"),
    [
        ("relay", "relay.read:stop@40"),
        ("relay", "relay.published:stop@20"),
        ("projector", "project.applied:stop@20"),
        ("projector", "project.committed:stop@20"),
    ],
)
async def test_a_leader_that_hangs_is_followed_and_does_no_harm_when_it_wakes_up(
    tmp_path: Path, role: str, point: str
) -> None:
    async with (
        scene(tmp_path, EVERGRAPH_FAILPOINT=point) as one,
        one.cluster.beside(role, "second") as second,
    ):
        await second.logs("role.awaited")
        hanging = one.cluster.pids()[role]
        batches = []
        while not is_stopped(hanging):
            batches.append(await one.start(CHAIN, runs=3))
        hung_at = clock.monotonic()
        taken = await taken_by(second)
        assert clock.monotonic() - hung_at < FAILOVER_SECONDS_MAX
        assert taken["predecessor"].startswith(f"{role}/")
        assert (taken["epoch"], taken["has_lapsed"]) == (2, True)
        for batch in batches:
            await one.ended(batch)
        before = await positions(one)
        await one.cluster.send(role, signal.SIGCONT)
        batches.append(await one.start(CHAIN, runs=3))
        await interrupted(one, role)
        for batch in batches:
            await one.ended(batch)
        await one.keeps_its_promises()
        after = await positions(one)
        assert all(was <= now for was, now in zip(before, after, strict=True))
        assert hanging == one.cluster.pids()[role], "it has not died of it"


@pytest.mark.parametrize("role", ["relay", "projector"])
async def test_a_leader_that_dies_is_followed_before_its_lease_ends(
    tmp_path: Path, role: str
) -> None:
    async with scene(tmp_path) as one, one.cluster.beside(role, "second") as second:
        await second.logs("role.awaited")
        async with one.cluster.without(role):
            batch = await one.start(CHAIN, runs=3)
            taken = await taken_by(second)
            assert (taken["epoch"], taken["has_lapsed"]) == (2, False)
            await one.ended(batch)
        await one.settle(batch)


async def test_runs_of_a_dead_worker_are_resumed_although_no_projector_works(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as one:
        with one.effects.held():
            await one.cluster.send("projector", signal.SIGSTOP)
            batch = await one.start(CHAIN, runs=3)
            await one.effects.asked(3)
            dead = await one.cluster.kill("executor-1")
            await one.cluster.replaced("executor-1", dead)
        await one.ended(batch)
        await one.cluster.send("projector", signal.SIGCONT)
        await one.settle(batch)


async def taken_by(process: Process) -> Entry:
    """What the process logs when it begins to lead."""
    await process.logs("role.taken")
    return next(entry for entry in process.logged() if entry["event"] == "role.taken")


async def interrupted(one: Scene, role: str) -> None:
    """Wait until the process has noticed that it leads no more."""
    await until(lambda: f"{role}.interrupted" in one.cluster.log_of(role), seconds=30)


async def positions(one: Scene) -> list[int]:
    """How far everybody is who follows the log."""
    found: list[int] = (await one.row(POSITIONS))[0]
    return found
