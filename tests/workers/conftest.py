"""A read model that is up to date, a NATS without wake_ups, and runs that a test writes itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from psycopg import AsyncConnection

from domain.limits import worker_limits
from runtime import database, nats
from runtime.broker import Broker
from runtime.database import Row
from runtime.embedded.nats import NatsServer
from runtime.eventlog.log import EventLog
from tests.support.brokers import hearing
from tests.workers.scene import Scene
from workers.sweeper import Sweeper


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection[Row]]:
    async with await database.connect(database_url, "test projector") as connection:
        yield connection


@pytest.fixture
async def client(nats_server: NatsServer) -> AsyncIterator[Client]:
    """A connection to a NATS that holds no wake_up."""
    client = await nats.connect(nats_server.url, "test")
    with suppress(NotFoundError):
        await client.jetstream().delete_stream(nats.STREAM)
    await nats.ensure_stream(client)
    yield client
    await client.close()


@pytest.fixture
async def broker(nats_server: NatsServer, client: Client) -> AsyncIterator[Broker]:
    """A process's connection to that NATS."""
    async with hearing(nats_server.url) as broker:
        yield broker


@pytest.fixture
def scene(event_log: EventLog, connection: AsyncConnection[Row], client: Client) -> Scene:
    return Scene(event_log, connection, client)


@pytest.fixture
def stopped() -> list[str]:
    """Runs that the sweeper has stopped."""
    return []


@pytest.fixture
def sweeper(
    scene: Scene, broker: Broker, stopped: list[str], monkeypatch: pytest.MonkeyPatch
) -> Sweeper:
    """One that looks for forgotten runs each time, and for which no outage lies behind."""
    monkeypatch.setattr(worker_limits, "SWEEP_FORGOTTEN_SECONDS", 0.0)
    monkeypatch.setattr(worker_limits, "LEASE_SECONDS", 0.0)

    async def stop(run_id: str) -> None:
        stopped.append(run_id)

    return Sweeper(scene.log.pool, broker, stop)
