"""What a run's stream says so far, in pages: a long run is never held in memory as a whole."""

from __future__ import annotations

from domain import runs
from domain.limits import socket_limits
from runtime import sql
from runtime.eventlog.log import EventLog
from runtime.eventlog.reader import LogEvent

SELECT = sql.load(__file__, "select_run_page")


async def read_page(
    log: EventLog, run_id: str, after: int, limit: int = socket_limits.SOCKET_HISTORY_EVENTS
) -> list[LogEvent]:
    """Some events of the run after version `after`, in order: none only if there are none.

    Raises what `database.LOST` names.
    """
    page = {
        "stream": runs.stream_of(run_id),
        "after": after,
        "events": limit,
        "bytes": socket_limits.SOCKET_HISTORY_BYTES,
    }
    async with log.pool.connection() as connection:
        cursor = await connection.execute(SELECT, page, binary=True)
        return [LogEvent(*row) for row in await cursor.fetchall()]
