"""Applies the numbered SQL files, each once, each in its own transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, LiteralString

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
    files = _files()
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
        await connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS public.evergraph_migrations ("
            "name text PRIMARY KEY, checksum text NOT NULL, "
            "applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = await _known(connection)
        _check(files, known)
        for name, statements in files.items():
            if name not in known:
                await _apply(connection, name, statements)
                applied.append(name)
        await _become_member(connection)
    return applied


async def missing(connection: AsyncConnection[Any]) -> list[str]:
    """The files that the database lacks. Changes nothing; raises MigrationError as `migrate`."""
    files, known = _files(), await _known(connection)
    _check(files, known)
    return [name for name in files if name not in known]


def _files() -> dict[str, LiteralString]:
    """The statements of each, in order."""
    return {
        path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("[0-9]*.sql"))
    }


async def _known(connection: AsyncConnection[Any]) -> dict[str, str]:
    """The checksums of those that were applied."""
    cursor = await connection.execute("SELECT name, checksum FROM public.evergraph_migrations")
    return dict(await cursor.fetchall())


def _check(files: Mapping[str, str], known: Mapping[str, str]) -> None:
    newer = sorted(known.keys() - files.keys())
    if newer:
        raise MigrationError(f"the database is newer than this program: {', '.join(newer)}")
    for name, checksum in known.items():
        if checksum != _checksum(files[name]):
            raise MigrationError(f"{name} was edited after it had been applied")


async def _become_member(connection: AsyncConnection) -> None:
    """Let who migrates serve as well. Whoever made a role is only its administrator at first."""
    cursor = await connection.execute(
        "SELECT pg_has_role('evergraph_app', 'MEMBER WITH ADMIN OPTION')"
        " AND NOT pg_has_role('evergraph_app', 'SET')"
    )
    if await cursor.fetchone() == (True,):
        await connection.execute("GRANT evergraph_app TO CURRENT_USER WITH SET TRUE, INHERIT FALSE")


async def _apply(connection: AsyncConnection, name: str, statements: LiteralString) -> None:
    async with connection.transaction():
        await connection.execute(statements)
        await connection.execute(
            "INSERT INTO public.evergraph_migrations (name, checksum) VALUES (%s, %s)",
            (name, _checksum(statements)),
        )


def _checksum(statements: str) -> str:
    return hashlib.sha256(statements.encode()).hexdigest()
