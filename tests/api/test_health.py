"""Health says which part is amiss and how, and the API outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2
import psycopg
import pytest
from psycopg import AsyncConnection

from domain import limits
from migrations.runner import migrate
from runtime import ids
from runtime.embedded.nats import NatsServer
from runtime.embedded.postgres import PostgresServer
from runtime.embedded.server import Server
from runtime.secrets import sign_token
from runtime.settings import Settings
from tests.support.api import Caller, Platform, answered, api, eventually
from tests.support.disk import disk
from tests.support.graphs import Document, echo
from tests.support.health import Said, health, says
from tests.support.live import running
from workers import relay

DISK_MEGABYTES = 160
READY = "/health/ready"
LIVE = "/health/live"
OURS = "FROM pg_stat_activity WHERE application_name LIKE 'evergraph %'"
END_SESSIONS = f"SELECT pg_terminate_backend(pid) {OURS}"
HEALTHY: Said = (200, "healthy", {})
WORKLESS = {"projector": "not_led", "relay": "not_led", "executor": "not_alive"}
"""What an API says that has its servers and no workers."""


def degraded(**states: str) -> Said:
    return 200, "degraded", states


def unhealthy(state: str) -> Said:
    return 503, "unhealthy", {"database": state}


class Alone(NamedTuple):
    """An API whose servers nobody else uses. There are no workers."""

    settings: Settings
    postgres: PostgresServer
    nats: NatsServer
    http: httpx2.AsyncClient
    caller: Caller

    @asynccontextmanager
    async def superuser(self) -> AsyncIterator[AsyncConnection]:
        async with await AsyncConnection.connect(self.postgres.url, autocommit=True) as connection:
            await connection.execute("SET default_transaction_read_only = off")
            yield connection

    async def refuses(self, state: str) -> None:
        """Wait until health says so of the database, and nothing else is said in other places."""
        for path in ("/health", READY):
            await says(self.http, unhealthy(state), path)
        assert await health(self.http, LIVE) == HEALTHY

    async def reads(self) -> bool:
        return (await self.caller.get("/api/v1/credits")).status_code == 200

    async def fill_the_log(self) -> tuple[set[str], Document]:
        """Save graphs up to the first refusal; return the ids of those before it, and it."""
        kept: set[str] = set()
        document = {**echo(), "description": "x" * limits.TEXT_CHARS_MAX}
        while True:
            response = await self.caller.post("/api/v1/graphs", {"graph": document})
            if response.status_code != 200:
                assert response.headers["retry-after"] == "1"
                return kept, response.json()
            kept.add(response.json()["id"])

    async def accepts(self) -> None:
        await says(self.http, HEALTHY, READY)
        answered(await self.caller.post("/api/v1/auth/user"))
        await self.caller.start(await self.caller.save(echo()))


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Alone]:
    async with standing_alone(tmp_path, tmp_path) as one:
        yield one


@asynccontextmanager
async def standing_alone(data_dir: Path, disk: Path) -> AsyncIterator[Alone]:
    """The database is on a disk of its own."""
    async with PostgresServer(disk) as postgres, NatsServer(data_dir) as nats:
        await migrate(postgres.url)
        settings = Settings(database_url=postgres.url, nats_url=nats.url, data_dir=data_dir)
        async with api(settings) as http:
            user_id = ids.new_id()
            token = sign_token(settings, user_id=user_id, email="user@example.com")
            yield Alone(settings, postgres, nats, http, Caller(http, user_id, token))


async def kill(server: Server) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()


async def test_anybody_may_ask(installation: Platform) -> None:
    for path in ("/health", READY, LIVE):
        await says(installation.http, HEALTHY, path)


async def test_without_workers_commands_are_taken(alone: Alone) -> None:
    await alone.accepts()
    await says(alone.http, degraded(**WORKLESS))


async def test_without_nats_commands_are_kept(alone: Alone) -> None:
    await kill(alone.nats)
    await says(alone.http, degraded(nats="not_heard", **WORKLESS))
    await alone.accepts()
    await alone.nats.start()
    await says(alone.http, degraded(**WORKLESS))


async def test_without_the_database_every_answer_is_a_temporary_one(alone: Alone) -> None:
    answered(await alone.caller.post("/api/v1/auth/user"))
    await kill(alone.postgres)
    await alone.refuses("unavailable")
    requests = (("GET", "/api/v1/credits"), ("POST", "/api/v1/auth/user"))
    responses = [alone.caller.request(method, path) for method, path in requests]
    for response in await asyncio.gather(*responses):
        assert answered(response, 503)["type"] == "unavailable"
        assert response.headers["retry-after"] == "1"
    await alone.postgres.start()
    await alone.accepts()
    assert await alone.caller.read("/api/v1/credits") == {"credits": 1_000}


async def test_a_database_that_hangs_is_missed(alone: Alone) -> None:
    """Nothing breaks then, and nothing comes either."""
    async with alone.superuser() as connection:
        found = await connection.execute(f"SELECT pid {OURS}")
        pids = [pid for (pid,) in await found.fetchall()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        await alone.refuses("unavailable")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    await alone.accepts()


async def test_a_database_that_takes_no_changes_is_told_of(alone: Alone) -> None:
    """As one is that another is to take over from: sessions from now on may only read."""
    await alone.accepts()
    async with alone.superuser() as connection:
        await connection.execute("ALTER DATABASE evergraph SET default_transaction_read_only = on")
        await connection.execute(END_SESSIONS)
        await alone.refuses("read_only")
        refused = await alone.caller.post("/api/v1/graphs", {"graph": echo()})
        assert answered(refused, 503)["type"] == "read_only"
        # Sessions of the pool that were ended are noticed one by one.
        await eventually(alone.reads)
        await connection.execute("ALTER DATABASE evergraph RESET default_transaction_read_only")
        await connection.execute(END_SESSIONS)
    await says(alone.http, HEALTHY, READY)
    await eventually(alone.reads)
    await alone.accepts()


async def test_a_full_disk_is_told_of_before_anybody_writes(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", DISK_MEGABYTES) as small:
        async with standing_alone(tmp_path, small.path) as alone:
            await alone.accepts()
            small.fill()
            await alone.refuses("storage_full")
            small.clear()
            await alone.accepts()


async def test_a_full_disk_refuses_commands_and_lets_read(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", DISK_MEGABYTES) as small:
        async with standing_alone(tmp_path, small.path) as alone:
            await alone.accepts()
            small.fill()
            kept, refusal = await alone.fill_the_log()
            assert (refusal["type"], refusal["status"]) == ("storage_full", 503)
            assert await alone.reads()
            small.clear()
            await alone.accepts()
            for graph_id in kept:
                await alone.caller.read(f"/api/v1/graphs/{graph_id}")


async def test_a_log_that_somebody_keeps_locked_takes_nothing(alone: Alone) -> None:
    async with alone.superuser() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(4919201701)")
        await alone.refuses("unavailable")
    await alone.accepts()


async def test_a_relay_that_nats_does_not_hear_is_behind(alone: Alone) -> None:
    """The API and NATS hear each other."""
    nowhere = "nats://127.0.0.1:1"
    deaf = Settings(
        database_url=alone.settings.database_url, nats_url=nowhere, data_dir=alone.settings.data_dir
    )
    async with running(relay.serve(deaf)):
        await alone.accepts()
        await says(alone.http, degraded(**WORKLESS | {"relay": "behind"}))


async def test_a_crowd_costs_as_much_as_one(alone: Alone) -> None:
    statements = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database"

    async def ended() -> int:
        async with alone.superuser() as connection:
            row = await (await connection.execute(statements)).fetchone()
        assert row is not None
        return int(row[0])

    async with asyncio.TaskGroup() as crowd:
        for _ in range(64):
            crowd.create_task(health(alone.http))
    before = await ended()
    await asyncio.gather(*(health(alone.http) for _ in range(64)))
    assert await ended() - before < 30


async def test_nobody_learns_positions_or_addresses(alone: Alone) -> None:
    await alone.accepts()
    await kill(alone.postgres)
    await alone.refuses("unavailable")
    text = (await alone.http.get("/health")).text
    assert str(alone.settings.data_dir) not in text
    with pytest.raises(psycopg.OperationalError):
        await AsyncConnection.connect(alone.postgres.url)
    assert not any(letter.isdigit() for letter in text), text


async def test_an_answer_counts_for_a_while_and_no_longer(alone: Alone) -> None:
    await says(alone.http, degraded(**WORKLESS))
    async with running(relay.serve(alone.settings)):
        await says(alone.http, degraded(projector="not_led", executor="not_alive"))

    async def told() -> bool:
        return (await health(alone.http))[2] == WORKLESS

    await eventually(told)
