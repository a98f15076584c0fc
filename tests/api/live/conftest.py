"""The API and the relay on real servers, and a user with a graph."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from domain.graphs.graph import VersionSaved
from runtime import ids
from runtime.aggregates.repository import Repository
from runtime.embedded.nats import NatsServer
from runtime.eventlog.log import EventLog
from runtime.settings import Settings
from tests.support.live import LiveApi, Script, live_api, relaying, saved_graph


@pytest.fixture
def settings(database_url: str, nats_server: NatsServer) -> Settings:
    return Settings(
        database_url=database_url, nats_url=nats_server.url, jwt_verify_key=ids.new_secret()
    )


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[LiveApi]:
    async with live_api(settings) as api, relaying(settings):
        yield api


@pytest.fixture
def user_id() -> UUID:
    return ids.new_id()


@pytest.fixture
async def graph(repository: Repository, user_id: UUID) -> VersionSaved:
    return await saved_graph(repository, user_id)


@pytest.fixture
def script(event_log: EventLog, graph: VersionSaved) -> Script:
    return Script(event_log, graph)
