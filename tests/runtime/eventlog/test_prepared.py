"""A prepared statement whose server dies: the wait ends, on the loop that our processes run on."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
import uvloop

from runtime import database
from runtime.database import Row
from runtime.eventlog.arrays import text_array
from runtime.eventlog.prepared import Prepared
from tests.support.processes import is_alive

SLEEP = "SELECT pg_sleep(60)::text || $1::text[]::text"
IS_SLEEPING = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s"
SYNC = b"S\x00\x00\x00\x04"
"""A message of the protocol that a busy session leaves unread."""
SECONDS_MAX = 10.0


def on_our_loop(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


@asynccontextmanager
async def prepared(
    database_url: str,
) -> AsyncIterator[tuple[psycopg.AsyncConnection[Row], Prepared]]:
    connection = await database.connect(database_url, "test")
    try:
        statement = Prepared(connection, SLEEP)
        await statement.prepare()
        yield connection, statement
    finally:
        await connection.close()


def send(connection: psycopg.AsyncConnection[Row], message: bytes) -> None:
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.sendall(message)


def end_while_nobody_looks(superuser_url: str, connection: psycopg.AsyncConnection[Row]) -> None:
    """End a session that is at work, so that it leaves something unread, and wait for its death.

    This holds the loop, which then sees all of it at one look.
    """
    pid = connection.info.backend_pid
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        wait_for(lambda: superuser.execute(IS_SLEEPING, (pid,)).fetchone() == (True,))
        send(connection, SYNC)
        superuser.execute("SELECT pg_terminate_backend(%s)", (pid,))
    wait_for(lambda: not is_alive(pid))


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_last_word_of_a_server_and_its_end_are_seen_at_one_look(
    database_url: str, superuser_url: str
) -> None:
    async def main() -> None:
        async with prepared(database_url) as (connection, statement):
            waiting = asyncio.create_task(statement.execute([text_array([])]))
            await asyncio.sleep(0)
            end_while_nobody_looks(superuser_url, connection)
            with pytest.raises(psycopg.OperationalError):
                await asyncio.wait_for(waiting, SECONDS_MAX)

    on_our_loop(main())


def test_a_silent_server_is_given_up(database_url: str) -> None:
    async def main() -> None:
        async with prepared(database_url) as (connection, statement):
            with (
                pytest.raises(psycopg.OperationalError),
                database.patience(connection, 0.1, statement.give_up),
            ):
                await asyncio.wait_for(statement.execute([text_array([])]), SECONDS_MAX)

    on_our_loop(main())
