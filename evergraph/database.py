"""Brings the database to the shape that this version needs."""

from __future__ import annotations

import psycopg

from migrations import runner
from runtime import database
from runtime.embedded.child import StartError
from runtime.embedded.postgres import database_url, migration_url
from runtime.eventlog import epoch
from runtime.settings import Settings


async def begin_epoch(settings: Settings) -> str:
    """Begin another epoch of the log, and return it. Raises StartError."""
    try:
        async with await database.connect(database_url(settings), "restored") as connection:
            return await epoch.begin(connection)
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise StartError(f"the database does not answer: {reason}") from error


async def migrate(settings: Settings) -> list[str]:
    """Apply what is missing. Returns the names of what was applied. Raises StartError."""
    try:
        return await runner.migrate(migration_url(settings))
    except (runner.MigrationError, psycopg.OperationalError) as error:
        reason = " ".join(str(error).split())
        raise StartError(f"the database cannot be migrated: {reason}") from error
