"""What the tests stand on: real servers, one set for all, and a fresh database for each test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import settings as hypothesis_settings
from psycopg import AsyncConnection

from migrations.runner import migrate
from runtime import ids
from runtime.aggregates.repository import Repository
from runtime.database import Row
from runtime.embedded.nats import NatsServer
from runtime.embedded.postgres import PostgresServer
from runtime.embedded.roles import MIGRATOR
from runtime.eventlog.log import EventLog, opened
from tests.support.databases import in_database

hypothesis_settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
hypothesis_settings.register_profile("dev", deadline=None, print_blob=True)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "dev")

TEMPLATE = "evergraph_template"
SEED_OPTION = "--schemathesis-seed"


def pytest_addoption(parser: pytest.Parser) -> None:
    help_ = "what schemathesis makes up its requests from (1); another seed makes up others"
    parser.addoption(SEED_OPTION, type=int, default=1, help=help_)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `-k` select tests by what they prove."""
    for mark in item.iter_markers("holds"):
        item.extra_keyword_matches.update(mark.args)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evergraph")


@pytest.fixture(scope="session")
async def postgres(data_dir: Path) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL with a migrated template database."""
    async with PostgresServer(data_dir) as server:
        async with await _administrator(server) as connection:
            await connection.execute(f"CREATE DATABASE {TEMPLATE} OWNER {MIGRATOR}")
        await migrate(in_database(server.migration_url, TEMPLATE))
        yield server


@pytest.fixture(scope="session")
async def nats_server(data_dir: Path) -> AsyncIterator[NatsServer]:
    async with NatsServer(data_dir) as server:
        yield server


@pytest.fixture
async def database_url(postgres: PostgresServer) -> AsyncIterator[str]:
    """A database of this test's own, with all migrations and nothing else, for the application."""
    name = f"test_{ids.new_id().hex}"
    async with await _administrator(postgres) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    yield in_database(postgres.url, name)
    async with await _administrator(postgres) as connection:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def superuser_url(postgres: PostgresServer, database_url: str) -> str:
    """The test's database, for who may do everything."""
    return in_database(postgres.superuser_url, urlsplit(database_url).path[1:])


@pytest.fixture
async def superuser(superuser_url: str) -> AsyncIterator[AsyncConnection[Row]]:
    """A connection to the test's database that may do everything."""
    async with await AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def event_log(database_url: str) -> AsyncIterator[EventLog]:
    async with opened(database_url, "test") as log:
        yield log


@pytest.fixture
def repository(event_log: EventLog) -> Repository:
    return Repository(event_log)


async def _administrator(server: PostgresServer) -> AsyncConnection:
    return await AsyncConnection.connect(server.superuser_url, autocommit=True)
