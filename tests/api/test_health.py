"""Health says which part is away, and the API outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from migrations.runner import migrate
from runtime import ids
from runtime.embedded.nats import NatsServer
from runtime.embedded.postgres import PostgresServer
from runtime.embedded.server import Server
from runtime.secrets import sign_token
from runtime.settings import Settings
from tests.support.api import Caller, Platform, answered, api, eventually
from tests.support.graphs import echo


class Alone(NamedTuple):
    """An API whose servers nobody else uses."""

    postgres: PostgresServer
    nats: NatsServer
    http: httpx2.AsyncClient
    caller: Caller

    async def says(self, status: int, body: dict[str, str]) -> None:
        async def said() -> bool:
            response = await self.http.get("/health")
            return (response.status_code, response.json()) == (status, body)

        await eventually(said)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Alone]:
    async with PostgresServer(tmp_path) as postgres, NatsServer(tmp_path) as nats:
        await migrate(postgres.url)
        settings = Settings(database_url=postgres.url, nats_url=nats.url, data_dir=tmp_path)
        async with api(settings) as http:
            user_id = ids.new_id()
            token = sign_token(settings, user_id=user_id, email="user@example.com")
            yield Alone(postgres, nats, http, Caller(http, user_id, token))


async def kill(server: Server) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()


HEALTHY = {"status": "healthy"}


async def test_anybody_may_ask(installation: Platform) -> None:
    assert answered(await installation.http.get("/health")) == HEALTHY


async def test_without_nats_commands_are_kept(alone: Alone) -> None:
    await kill(alone.nats)
    await alone.says(503, {"status": "unhealthy", "part": "nats"})
    answered(await alone.caller.post("/api/v1/auth/user"))
    await alone.caller.start(await alone.caller.save(echo()))
    await alone.nats.start()
    await alone.says(200, HEALTHY)


async def test_without_the_database_every_answer_is_a_temporary_one(alone: Alone) -> None:
    answered(await alone.caller.post("/api/v1/auth/user"))
    await kill(alone.postgres)
    await alone.says(503, {"status": "unhealthy", "part": "database"})
    requests = (("GET", "/api/v1/credits"), ("POST", "/api/v1/auth/user"))
    responses = [alone.caller.request(method, path) for method, path in requests]
    for response in await asyncio.gather(*responses):
        assert answered(response, 503)["type"] == "unavailable"
        assert response.headers["retry-after"] == "1"
    await alone.postgres.start()
    await alone.says(200, HEALTHY)
    assert await alone.caller.read("/api/v1/credits") == {"credits": 1_000}
