"""The PostgreSQL server that everybody shares."""

from __future__ import annotations

import os
from urllib.parse import urlsplit, urlunsplit

from psycopg import AsyncConnection, sql


async def circumstances(url: str) -> str:
    """What figures depend on, in one line."""
    async with await AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "SELECT current_setting('server_version'), current_setting('fsync'),"
            " current_setting('synchronous_commit')"
        )
        row = await cursor.fetchone()
        assert row is not None
    return (
        f"PostgreSQL {row[0]}, fsync {row[1]}, synchronous_commit {row[2]};"
        f" {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start"
    )


async def checkpoint(url: str) -> None:
    """Nobody shall pay for what somebody else has written."""
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CHECKPOINT")


async def create_database(url: str, name: str) -> str:
    """The URL of a new database in the server of `url`."""
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
