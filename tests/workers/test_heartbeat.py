"""Saying that a process lives."""

from __future__ import annotations

import asyncio
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
