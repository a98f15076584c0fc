"""Runs that the log says are ours while nobody here has them in hand.

There should be none, and nobody else would ever take them: our lease lives.
"""

from __future__ import annotations

from collections.abc import Collection

from domain.limits import worker_limits
from domain.runs import run_of, stream_of
from runtime import clock, sql
from runtime.eventlog.log import EventLog
from workers.claims import LET_GO, LIST_LAST_TOPICS

FIND = sql.load(__file__, "find_own_runs")


class Strays:
    """Those of one worker."""

    def __init__(self, event_log: EventLog, worker: str) -> None:
        self._log = event_log
        self._worker = worker
        self._suspects: set[tuple[str, int]] = set()
        """Runs that were missing at the last look, each with its last position."""
        self._looked_at = clock.monotonic()

    async def find(self, in_hand: Collection[str]) -> list[str]:
        """Runs that were missing at two looks, with nothing in between. Raises database.LOST."""
        now = clock.monotonic()
        if now - self._looked_at < worker_limits.STRAYS_SECONDS:
            return []
        self._looked_at = now
        parameters = {
            "worker": self._worker,
            "known": list(in_hand),
            "limit": worker_limits.SWEEP_RUNS_MAX,
        }
        async with self._log.pool.connection() as connection:
            rows = await (await connection.execute(FIND, parameters)).fetchall()
            missing = {(run_id, position) for run_id, position in rows}
            again = missing & self._suspects
            self._suspects = missing
            if not again:
                return []
            # The read model may be behind.
            streams = [stream_of(run_id) for run_id, _ in again]
            cursor = await connection.execute(LIST_LAST_TOPICS, (streams,))
            last = await cursor.fetchall()
        held = {run_of(stream) for stream, topic in last if topic not in LET_GO}
        return sorted(held - set(in_hand))
