"""One at a time: the right to be the projector or the relay, as a lock of a database session.

When the process dies its session ends, and with it the right.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from psycopg import AsyncConnection

from domain import limits
from runtime import database
from runtime.database import Row

log = structlog.get_logger()


@asynccontextmanager
async def leading(database_url: str, role: str) -> AsyncIterator[AsyncConnection[Row]]:
    """A connection that holds the role. Waits while another process has it.

    Raises psycopg.OperationalError; a lost connection is a lost role.
    """
    connection = await database.connect(database_url, role)
    async with connection:
        while not await _try_lock(connection, role):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(limits.POLL_SECONDS)
        log.info("role.taken", role=role)
        yield connection


async def _try_lock(connection: AsyncConnection[Row], role: str) -> bool:
    key = int.from_bytes(hashlib.sha256(role.encode()).digest()[:8], "big", signed=True)
    cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (key,))
    row = await cursor.fetchone()
    assert row is not None
    return bool(row[0])
