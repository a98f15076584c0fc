"""Who hangs, is gone or goes round in circles is told of by name, and commands are taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from domain.limits import worker_limits
from domain.runs import stream_of
from runtime import ids
from runtime.embedded.postgres import database_url
from runtime.eventlog.log import Origin, StreamWrite, opened
from runtime.eventlog.mapper import Encoded
from tests.faults.crowds import EFFECT_CHAIN
from tests.faults.graphs import PURE
from tests.faults.scene import Scene, scene
from tests.support.disk import disk
from tests.support.health import Said, says

DISK_MEGABYTES = 192
HEALTHY: Said = (200, "healthy", {})
UNKNOWN = Encoded("runs.RunClaimed@99", b'{"worker": "test/1"}')
"""The projector stops at what a newer program wrote."""


@pytest.fixture
async def http(whole: Scene) -> AsyncIterator[httpx2.AsyncClient]:
    """All is well before and after each test."""
    async with httpx2.AsyncClient(base_url=whole.cluster.url, trust_env=False) as client:
        await says(client, HEALTHY)
        yield client
        await says(client, HEALTHY)


@pytest.mark.parametrize("role", ["projector", "relay"])
async def test_one_that_hangs_leads_no_more(
    whole: Scene, http: httpx2.AsyncClient, role: str
) -> None:
    async with whole.cluster.hung(role):
        batch = await whole.start([PURE])
        await says(http, (200, "degraded", {role: "not_led"}))
        await whole.ended(batch)


async def test_nats_is_missed_and_nobody_is_called_behind_for_it(
    whole: Scene, http: httpx2.AsyncClient
) -> None:
    async with whole.cluster.without("nats"):
        await says(http, (200, "degraded", {"nats": "not_heard"}))
        await whole.ended(await whole.start([PURE]))


async def test_without_an_executor_runs_are_taken_and_wait(tmp_path: Path) -> None:
    async with (
        scene(tmp_path, EVERGRAPH_EXECUTORS="0") as one,
        httpx2.AsyncClient(base_url=one.cluster.url, trust_env=False) as http,
    ):
        await says(http, (200, "degraded", {"executor": "not_alive"}))
        batch = await one.start([PURE])
        async with one.cluster.beside("executor", "late"):
            await one.ended(batch)
            await says(http, HEALTHY)


async def test_a_projector_that_comes_no_further_is_looping(tmp_path: Path) -> None:
    async with (
        scene(tmp_path) as one,
        httpx2.AsyncClient(base_url=one.cluster.url, trust_env=False) as http,
        opened(database_url(one.cluster.settings), "newer") as log,
    ):
        await says(http, HEALTHY)
        write = StreamWrite(stream_of(str(ids.new_id())), 0, [UNKNOWN])
        await log.append([write], Origin(owner=str(ids.new_id()), actor="test"))
        await says(http, (200, "degraded", {"projector": "looping"}))
        await one.ended(await one.start([PURE]))


async def test_a_disk_that_was_full_has_cost_time_alone(tmp_path: Path) -> None:
    """All that an installation writes is on it: the log, what waits for NATS, and what each process
    says.
    """
    with disk(tmp_path / "disk", DISK_MEGABYTES) as small:
        async with (
            scene(small.path) as one,
            httpx2.AsyncClient(base_url=one.cluster.url, trust_env=False) as http,
        ):
            with one.effects.held():
                batch = await one.start(EFFECT_CHAIN, runs=8)
                await one.effects.asked(8)
                small.fill()
                await says(http, (503, "unhealthy", {"database": "storage_full"}))
            await asyncio.sleep(2 * worker_limits.LEASE_SECONDS)
            small.clear()
            await says(http, HEALTHY)
            again = await one.start(EFFECT_CHAIN, runs=8)
            for runs in (batch, again):
                await one.ended(runs)
            await one.is_sound()
