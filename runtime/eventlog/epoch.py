"""Which log a process works for: another one is there after a backup was put back.

Whatever a process remembers of streams would be wrong then, and what it decides would be appended
after versions that mean something else. So each connection asks before it is used, and a process
that finds another log ends at once and begins anew.
"""

from __future__ import annotations

import structlog
from psycopg import AsyncConnection

from runtime import process, sql
from runtime.database import Row

log = structlog.get_logger()

SELECT = sql.load(__file__, "select_epoch")
INSERT = sql.load(__file__, "insert_epoch")


class LogEpoch:
    """The epoch of the log that the first connection found."""

    def __init__(self) -> None:
        self.known = ""

    async def check(self, connection: AsyncConnection[Row]) -> None:
        """End the process if this is another log. Raises psycopg.Error."""
        found = await read(connection)
        if self.known and found != self.known:
            log.critical("log.replaced", known=self.known, found=found)
            process.end_at_once()
        self.known = found


async def read(connection: AsyncConnection[Row]) -> str:
    """The epoch of the log, 16 hexadecimal digits. Raises psycopg.Error."""
    row = await (await connection.execute(SELECT)).fetchone()
    assert row is not None
    epoch: str = row[0]
    return epoch


async def begin(connection: AsyncConnection[Row]) -> str:
    """Begin another epoch and return it: the files of the database were put back from a copy.

    Raises psycopg.Error.
    """
    await connection.execute(INSERT)
    return await read(connection)
