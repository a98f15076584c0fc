"""The table of what errors of the database mean, on errors that a real one makes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import psycopg
import pytest
from litestar import Litestar, get
from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout

from api.http import problems
from domain.limits import database_limits, request_limits
from runtime import database, outages
from runtime.database import Row
from runtime.outages import OUTAGES
from tests.support.api import eventually

RAISE = "DO $$ BEGIN RAISE 'as a server might' USING ERRCODE = '{}'; END $$"
SOME = {"08": "08006", "40": "40001", "53": "53200", "57": "57P04", "58": "58030"}
"""A member of each class that the table has as a whole."""
OURS = ["22021", "22003", "23505", "25P02", "42501", "42601", "54000", "XX001", "P0001"]
"""What is no reason to try again."""

Session = AsyncConnection[Row]


@pytest.fixture
async def session(database_url: str) -> AsyncIterator[Session]:
    async with await database.connect(database_url, "test") as connection:
        yield connection


async def answer_to(error: Exception) -> httpx2.Response:
    """What the API answers when a handler meets the error."""

    @get("/")
    async def handler() -> None:
        raise error

    app: Any = Litestar([handler], exception_handlers=problems.HANDLERS, logging_config=None)
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        return await http.get("/")


async def assert_refused(error: Exception, slug: str) -> None:
    response = await answer_to(error)
    assert (response.status_code, response.json()["type"]) == (503, slug)
    assert response.headers["retry-after"] == "1"
    assert response.json()["hint"]


@pytest.mark.parametrize("state", OUTAGES)
async def test_each_outage_is_answered_by_its_own_slug(session: Session, state: str) -> None:
    with pytest.raises(psycopg.Error) as raised:
        await session.execute(RAISE.format(SOME.get(state, state)))
    kind, message = OUTAGES[state]
    outage = outages.of(raised.value)
    assert (type(outage), outage and outage.message) == (kind, message)
    await assert_refused(raised.value, kind.slug)


@pytest.mark.parametrize("state", OURS)
async def test_mistakes_and_damage_are_no_outages(session: Session, state: str) -> None:
    with pytest.raises(psycopg.Error) as raised:
        await session.execute(RAISE.format(state))
    assert outages.of(raised.value) is None
    assert (await answer_to(raised.value)).status_code == 500


async def slow(session: Session, _: str) -> None:
    await session.execute("SET statement_timeout = 50")
    await session.execute("SELECT pg_sleep(60)")


async def locked(session: Session, url: str) -> None:
    async with await AsyncConnection.connect(url) as other:
        await other.execute("LOCK TABLE log.receipts")
        await session.execute("SET lock_timeout = 50")
        await session.execute("SELECT FROM log.receipts")


async def deadlocked(session: Session, url: str) -> None:
    async with await AsyncConnection.connect(url) as other, session.transaction():
        await session.execute("SELECT pg_advisory_xact_lock(1)")
        await other.execute("SELECT pg_advisory_xact_lock(2)")
        waiting = asyncio.create_task(other.execute("SELECT pg_advisory_xact_lock(1)"))
        try:
            await session.execute("SELECT pg_advisory_xact_lock(2)")
        finally:
            await asyncio.gather(waiting, return_exceptions=True)
        waiting.result()


async def serialized(session: Session, url: str) -> None:
    async with await AsyncConnection.connect(url, autocommit=True) as other:
        await other.execute("INSERT INTO work.wake_ups (run_id) VALUES ('a')")
        async with session.transaction():
            await session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await session.execute("SELECT FROM work.wake_ups")
            await other.execute("UPDATE work.wake_ups SET sent_at = now()")
            await session.execute("UPDATE work.wake_ups SET sent_at = now()")


async def read_only(session: Session, _: str) -> None:
    await session.execute("SET default_transaction_read_only = on")
    await session.execute("INSERT INTO work.wake_ups (run_id) VALUES ('a')")


async def terminated(session: Session, url: str) -> None:
    async with await AsyncConnection.connect(url, autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s)", (session.info.backend_pid,))
    await session.execute("SELECT 1")


async def idle(session: Session, url: str) -> None:
    await session.execute("SET idle_in_transaction_session_timeout = 50")
    pid = session.info.backend_pid
    async with await AsyncConnection.connect(url, autocommit=True) as other, session.transaction():

        async def has_ended() -> bool:
            found = await other.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,))
            return found.rowcount == 0

        await eventually(has_ended)
        await session.execute("SELECT 1")


async def nowhere(*_: object) -> None:
    await database.connect("postgresql://user@/name?host=/nowhere", "test")


async def closed(session: Session, _: str) -> None:
    await session.close()
    await session.execute("SELECT 1")


async def used_up(_session: Session, url: str) -> None:
    async with database.pool(url, "test", _accept, request_limits.READ_SECONDS_MAX) as pool:
        for _ in range(database_limits.DATABASE_POOL_CONNECTIONS_MAX):
            await pool.getconn()
        await pool.getconn(timeout=0.05)


async def _accept(_: Session) -> None: ...


REAL: dict[str, tuple[Callable[[Session, str], Awaitable[None]], type[Exception], str]] = {
    "slow": (slow, psycopg.errors.QueryCanceled, "unavailable"),
    "locked": (locked, psycopg.errors.LockNotAvailable, "unavailable"),
    "serialized": (serialized, psycopg.errors.SerializationFailure, "unavailable"),
    "read-only": (read_only, psycopg.errors.ReadOnlySqlTransaction, "read_only"),
    "terminated": (terminated, psycopg.OperationalError, "unavailable"),
    "idle": (idle, psycopg.errors.IdleInTransactionSessionTimeout, "unavailable"),
    "nowhere": (nowhere, psycopg.OperationalError, "unavailable"),
    "closed": (closed, psycopg.OperationalError, "unavailable"),
    "used up": (used_up, PoolTimeout, "unavailable"),
}


@pytest.mark.parametrize(("cause", "kind", "slug"), REAL.values(), ids=list(REAL))
async def test_what_really_happens_is_in_the_table(
    session: Session,
    superuser_url: str,
    cause: Callable[[Session, str], Awaitable[None]],
    kind: type[Exception],
    slug: str,
) -> None:
    with pytest.raises(kind) as raised:
        await cause(session, superuser_url)
    await assert_refused(raised.value, slug)


async def test_a_deadlock_is_worth_another_try(session: Session, superuser_url: str) -> None:
    with pytest.raises(psycopg.errors.DeadlockDetected) as raised:
        await deadlocked(session, superuser_url)
    await assert_refused(raised.value, "unavailable")


async def test_a_server_that_takes_no_more_sessions(superuser_url: str) -> None:
    async with await AsyncConnection.connect(superuser_url, autocommit=True) as superuser:
        await superuser.execute("CREATE ROLE crowded LOGIN PASSWORD 'crowded' CONNECTION LIMIT 0")
        try:
            with pytest.raises(psycopg.OperationalError) as raised:
                await AsyncConnection.connect(superuser_url, user="crowded", password="crowded")
        finally:
            await superuser.execute("DROP ROLE crowded")
    assert "too many connections" in str(raised.value)
    await assert_refused(raised.value, "unavailable")
