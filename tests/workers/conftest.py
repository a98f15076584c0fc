"""A read model that is up to date, a NATS without bells, and runs that a test writes itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from psycopg import AsyncConnection

from runtime import database, nats
from runtime.database import Row
from runtime.embedded.nats import NatsServer
from runtime.eventlog.log import EventLog
from tests.workers.scene import Scene


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection[Row]]:
    async with await database.connect(database_url, "test projector") as connection:
        yield connection


@pytest.fixture
async def client(nats_server: NatsServer) -> AsyncIterator[Client]:
    """A connection to a NATS that holds no bell."""
    client = await nats.connect(nats_server.url, "test")
    with suppress(NotFoundError):
        await client.jetstream().delete_stream(nats.STREAM)
    await nats.ensure_stream(client)
    yield client
    await client.close()


@pytest.fixture
def scene(event_log: EventLog, connection: AsyncConnection[Row], client: Client) -> Scene:
    return Scene(event_log, connection, client)
