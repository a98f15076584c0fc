"""Connections: in the application's role, with limits of time, and replaced when they break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolTimeout

from domain.limits import database_limits
from runtime import clock, database
from runtime.database import Row
from runtime.eventlog.epoch import LogEpoch

STATEMENT_SECONDS = database_limits.DATABASE_STATEMENT_SECONDS_MAX
URL = "postgresql://user@db.example.org:6432/name?sslmode=require"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection[Row]]:
    async with await database.connect(database_url, "test") as connection:
        yield connection


async def one(connection: AsyncConnection[Row], expression: str) -> object:
    cursor = await connection.execute(f"SELECT {expression}")
    row = await cursor.fetchone()
    assert row is not None
    return row[0]


async def test_a_connection_has_the_applications_role_and_name(
    connection: AsyncConnection[Row],
) -> None:
    assert await one(connection, "current_user") == database.APP_ROLE
    assert await one(connection, "current_setting('application_name')") == "evergraph test"
    await connection.execute("RESET ROLE")
    assert await one(connection, "current_user") == database.APP_ROLE
    assert connection.autocommit


async def test_nothing_waits_for_ever(connection: AsyncConnection[Row]) -> None:
    for name, seconds in (
        ("statement_timeout", database_limits.DATABASE_STATEMENT_SECONDS_MAX),
        ("lock_timeout", database_limits.DATABASE_LOCK_SECONDS_MAX),
        ("idle_in_transaction_session_timeout", database_limits.DATABASE_STATEMENT_SECONDS_MAX),
    ):
        assert await one(connection, f"current_setting('{name}')") == f"{seconds}s"


def test_the_line_has_limits_too_and_the_rest_of_the_url_stays() -> None:
    given = conninfo_to_dict(database.conninfo(URL, "test"))
    assert given["connect_timeout"] == str(database_limits.DATABASE_SILENCE_SECONDS_MAX)
    assert given["tcp_user_timeout"] == str(database_limits.DATABASE_SILENCE_SECONDS_MAX * 1_000)
    assert (given["host"], given["port"], given["sslmode"]) == ("db.example.org", "6432", "require")


async def test_a_statement_that_takes_too_long_is_ended(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_limits, "DATABASE_STATEMENT_SECONDS_MAX", 1)
    async with await database.connect(database_url, "test") as connection:
        with pytest.raises(psycopg.errors.QueryCanceled):
            await connection.execute("SELECT pg_sleep(60)")
        assert await one(connection, "1") == 1


async def test_a_pool_replaces_what_breaks(database_url: str, superuser_url: str) -> None:
    async with (
        database.pool(database_url, "broken", LogEpoch().check, STATEMENT_SECONDS) as pool,
        await AsyncConnection.connect(superuser_url, autocommit=True) as superuser,
    ):
        async with pool.connection() as connection:
            pid = connection.info.backend_pid
        await superuser.execute("SELECT pg_terminate_backend(%s)", (pid,))
        deadline = clock.monotonic() + 10
        failures = 0
        while True:
            try:
                async with pool.connection() as connection:
                    assert await one(connection, "pg_backend_pid()") != pid
                    break
            except database.LOST:
                failures += 1
                assert clock.monotonic() < deadline
        assert failures <= database_limits.DATABASE_POOL_CONNECTIONS_MAX


async def test_a_pool_that_is_used_up_says_so_in_time(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_limits, "DATABASE_LOCK_SECONDS_MAX", 0.1)
    monkeypatch.setattr(database_limits, "DATABASE_POOL_CONNECTIONS_MAX", 1)
    check = LogEpoch().check
    async with (
        database.pool(database_url, "small", check, STATEMENT_SECONDS) as pool,
        pool.connection(),
    ):
        results = await asyncio.gather(*(pool.getconn() for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [PoolTimeout] * 3
        assert all(isinstance(result, database.LOST) for result in results)


async def test_a_server_that_is_away_is_an_operational_error() -> None:
    with pytest.raises(psycopg.OperationalError):
        await database.connect("postgresql://user@/name?host=/nowhere", "test")
