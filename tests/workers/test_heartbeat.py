"""Saying that a process lives."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

from psycopg import Connection

from runtime.database import Row
from tests.support.processes import until
from workers import heartbeat

THREADS_MAX = 32
"""How many the pool that a loop has by default may have."""


async def test_it_beats_also_while_all_shared_threads_are_taken(database_url: str) -> None:
    loop = asyncio.get_running_loop()
    released = threading.Event()
    said: list[str | None] = []

    def say(connection: Connection[Row]) -> None:
        said.append(connection.info.parameter_status("application_name"))

    taken = [loop.run_in_executor(None, released.wait) for _ in range(THREADS_MAX)]
    beating = asyncio.create_task(heartbeat.beat(database_url, "test", say, 0.01))
    try:
        await until(lambda: len(said) >= 2)
    finally:
        released.set()
        beating.cancel()
        await asyncio.gather(beating, *taken, return_exceptions=True)
    assert beating.cancelled()
    assert set(said) == {"evergraph test"}


async def test_a_session_that_hangs_is_left(database_url: str) -> None:
    """The server lives, only this session of it does not answer: a lease must not run out."""
    pids: list[int] = []

    def say(connection: Connection[Row]) -> None:
        connection.execute("SELECT 1")
        pids.append(connection.info.backend_pid)

    beating = asyncio.create_task(heartbeat.beat(database_url, "test", say, 0.01))
    try:
        await until(lambda: bool(pids))
        hung = pids[0]
        os.kill(hung, signal.SIGSTOP)
        try:
            await until(lambda: pids[-1] != hung)
        finally:
            os.kill(hung, signal.SIGCONT)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


async def test_its_end_does_not_wait_for_a_session_that_hangs(database_url: str) -> None:
    begun = threading.Event()

    def say(connection: Connection[Row]) -> None:
        begun.set()
        connection.execute("SELECT pg_sleep(60)")

    beating = asyncio.create_task(heartbeat.beat(database_url, "test", say, 0.01))
    await until(begun.is_set)
    beating.cancel()
    done, _ = await asyncio.wait([beating], timeout=10)
    assert done
