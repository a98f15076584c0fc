"""Applies the numbered SQL files, each once, each in its own transaction."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import LiteralString

from psycopg import AsyncConnection

FOLDER = Path(__file__).parent
LOCK = 4919201702
LOCK_SECONDS = 60


class MigrationError(Exception):
    """The database and this code do not agree about what has been applied."""


async def migrate(database_url: str) -> list[str]:
    """Bring the database up to date. Two at once are harmless: the second waits.

    Returns the names of the files applied now. Raises MigrationError when a file that was applied
    has been edited since, or when the database is newer than this code.
    """
    applied = []
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
        await connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS public.evergraph_migrations ("
            "name text PRIMARY KEY, checksum text NOT NULL, "
            "applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor = await connection.execute("SELECT name, checksum FROM public.evergraph_migrations")
        known: dict[str, str] = dict(await cursor.fetchall())
        files = sorted(FOLDER.glob("[0-9]*.sql"))
        newer = sorted(known.keys() - {path.name for path in files})
        if newer:
            raise MigrationError(f"the database is newer than this program: {', '.join(newer)}")
        for path in files:
            statements = path.read_text(encoding="utf-8")
            if await _apply(connection, path.name, statements, known.get(path.name)):
                applied.append(path.name)
        await _become_member(connection)
    return applied


async def _become_member(connection: AsyncConnection) -> None:
    """Let who migrates serve as well. Whoever made a role is only its administrator at first."""
    cursor = await connection.execute(
        "SELECT pg_has_role('evergraph_app', 'MEMBER WITH ADMIN OPTION')"
        " AND NOT pg_has_role('evergraph_app', 'SET')"
    )
    if await cursor.fetchone() == (True,):
        await connection.execute("GRANT evergraph_app TO CURRENT_USER WITH SET TRUE, INHERIT FALSE")


async def _apply(
    connection: AsyncConnection, name: str, statements: LiteralString, checksum: str | None
) -> bool:
    present = hashlib.sha256(statements.encode()).hexdigest()
    if checksum is not None:
        if checksum != present:
            raise MigrationError(f"{name} was edited after it had been applied")
        return False
    async with connection.transaction():
        await connection.execute(statements)
        await connection.execute(
            "INSERT INTO public.evergraph_migrations (name, checksum) VALUES (%s, %s)",
            (name, present),
        )
    return True
