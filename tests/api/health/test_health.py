"""Health says which part is amiss and how, and the API outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.support.alone import Alone, kill, standing_alone
from tests.support.api import Platform, eventually
from tests.support.disk import disk
from tests.support.health import Said, health, says
from tests.support.live import running
from workers import relay

READY = "/health/ready"
LIVE = "/health/live"
HEALTHY: Said = (200, "healthy", {})
WORKLESS = {"projector": "not_led", "relay": "not_led", "executor": "not_alive"}
"""What an API says that has its servers and no workers."""
DISK_MEGABYTES = 160
WAITING = "SELECT FROM pg_locks WHERE relation = 'work.leases'::regclass AND NOT granted"


def degraded(**states: str) -> Said:
    return 200, "degraded", states


def unhealthy(state: str) -> Said:
    return 503, "unhealthy", {"database": state}


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Alone]:
    async with standing_alone(tmp_path) as one:
        yield one


async def refuses(alone: Alone, state: str) -> None:
    """Wait until health says so of the database; the process lives all the same."""
    for path in ("/health", READY):
        await says(alone.http, unhealthy(state), path)
    assert await health(alone.http, LIVE) == HEALTHY


async def accepts(alone: Alone) -> None:
    """Wait until health says that commands are taken, and see that it is so."""
    await says(alone.http, HEALTHY, READY)
    await eventually(alone.reads)
    await alone.commands()


async def test_anybody_may_ask(installation: Platform) -> None:
    for path in ("/health", READY, LIVE):
        await says(installation.http, HEALTHY, path)


async def test_without_workers_commands_are_taken(alone: Alone) -> None:
    await accepts(alone)
    await says(alone.http, degraded(**WORKLESS))


async def test_without_nats_commands_are_kept(alone: Alone) -> None:
    await kill(alone.nats)
    await says(alone.http, degraded(nats="not_heard", **WORKLESS))
    await accepts(alone)
    await alone.nats.start()
    await says(alone.http, degraded(**WORKLESS))


async def test_a_database_that_is_gone_is_missed(alone: Alone) -> None:
    await kill(alone.postgres)
    await refuses(alone, "unavailable")
    text = (await alone.http.get("/health")).text
    assert not any(letter.isdigit() for letter in text), f"neither addresses nor positions: {text}"
    await alone.postgres.start()
    await accepts(alone)


async def test_a_database_that_hangs_is_missed(alone: Alone) -> None:
    async with alone.hung():
        await refuses(alone, "unavailable")
    await accepts(alone)


async def test_a_database_that_takes_no_changes_is_told_of(alone: Alone) -> None:
    async with alone.read_only():
        await refuses(alone, "read_only")
    await accepts(alone)


async def test_a_full_disk_is_told_of_before_anybody_writes(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", DISK_MEGABYTES) as small:
        async with standing_alone(tmp_path, small.path) as alone:
            await accepts(alone)
            small.fill()
            await refuses(alone, "storage_full")
            small.clear()
            await accepts(alone)


async def test_a_log_that_somebody_keeps_locked_takes_nothing(alone: Alone) -> None:
    async with alone.superuser() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(4919201701)")
        await refuses(alone, "unavailable")
    await accepts(alone)


async def test_a_relay_that_nats_does_not_hear_is_behind(alone: Alone) -> None:
    """The API and NATS hear each other."""
    deaf = msgspec.structs.replace(alone.settings, nats_url="nats://127.0.0.1:1")
    async with running(relay.serve(deaf)):
        await accepts(alone)
        await says(alone.http, degraded(**WORKLESS | {"relay": "behind"}))


async def test_a_crowd_asks_the_database_once(alone: Alone) -> None:
    """The question waits for a lock, and is still there when everybody has given up."""
    await says(alone.http, degraded(**WORKLESS))
    async with alone.superuser() as connection, connection.transaction():
        await connection.execute("LOCK TABLE work.leases")
        await says(alone.http, unhealthy("unavailable"))
        await asyncio.gather(*(health(alone.http) for _ in range(64)))
        assert (await connection.execute(WAITING)).rowcount <= 1


async def test_an_answer_counts_for_a_while_and_no_longer(alone: Alone) -> None:
    await says(alone.http, degraded(**WORKLESS))
    async with running(relay.serve(alone.settings)):
        await says(alone.http, degraded(projector="not_led", executor="not_alive"))
    await says(alone.http, degraded(**WORKLESS))
