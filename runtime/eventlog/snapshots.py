"""A cache of folded streams: whoever folds a long one need not begin with its first event."""

from __future__ import annotations

import hashlib

import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from runtime import sql
from runtime.database import Row
from runtime.eventlog.pages import NO_END

log = structlog.get_logger()

SELECT_SNAPSHOT = sql.load(__file__, "select_snapshot")
UPSERT_SNAPSHOT = sql.load(__file__, "upsert_snapshot")
DELETE_SNAPSHOT = sql.load(__file__, "delete_snapshot")


class Snapshots:
    """The newest fold of each stream. Nothing depends on one: any may be lost.

    `format` says how a state is encoded and what was folded into it; a program takes only what
    has its own. Every method raises psycopg.Error.
    """

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Row]]) -> None:
        self._pool = pool

    async def load(
        self,
        stream: str,
        format: int,  # noqa: A002 - the word for it
        at_most: int | None = None,
    ) -> tuple[int, bytes] | None:
        """The version that was folded last, `at_most` this one, and the state after it."""
        last = NO_END if at_most is None else at_most
        async with self._pool.connection() as connection:
            cursor = await connection.execute(SELECT_SNAPSHOT, (stream, format, last), binary=True)
            row = await cursor.fetchone()
        if row is None:
            return None
        version, state, checksum = row
        if checksum != _checksum(f"{stream} {version} {format}", state):
            log.warning("snapshot.damaged", stream=stream, version=version)
            return None
        return version, state

    async def save(
        self,
        stream: str,
        version: int,
        format: int,  # noqa: A002 - the word for it
        state: bytes,
    ) -> None:
        """Keep the state after `version`, unless that of a later one is kept."""
        checksum = _checksum(f"{stream} {version} {format}", state)
        async with self._pool.connection() as connection:
            await connection.execute(UPSERT_SNAPSHOT, (stream, version, format, state, checksum))

    async def forget(self, stream: str) -> None:
        """Keep nothing of the stream."""
        async with self._pool.connection() as connection:
            await connection.execute(DELETE_SNAPSHOT, (stream,))


def _checksum(place: str, state: bytes) -> bytes:
    digest = hashlib.sha256(place.encode())
    digest.update(state)
    return digest.digest()
