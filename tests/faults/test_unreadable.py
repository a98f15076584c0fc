"""Runs that no executor here can read, as when a newer program has written to them."""

from __future__ import annotations

from pathlib import Path

from domain.runs import stream_of
from runtime.embedded.postgres import database_url
from runtime.eventlog.log import Origin, StreamWrite, opened
from runtime.eventlog.mapper import Encoded
from tests.faults.graphs import PURE
from tests.faults.scene import ENDED, Batch, Scene, scene

PLACES = 64
"""Runs of one graph that may be in hand at once."""
PARKED = "runs.RunParked@1"
NEWER = Encoded("runs.NodeCompleted@99", b"{}")
READ_OWNER = "SELECT owner FROM log.stored_events WHERE originator_id = %s LIMIT 1"


async def test_they_give_their_places_to_others_and_are_kept(tmp_path: Path) -> None:
    async with scene(tmp_path, EVERGRAPH_EXECUTORS="0") as given:
        batch = await given.start([PURE], runs=PLACES)
        await spoil(given, batch)
        async with given.cluster.beside("executor", "older"):
            await given.recorded(batch, PLACES, PARKED)
            fine = batch._replace(runs=await given.start_runs(batch.graph_id, 1))
            await given.recorded(fine, 1, ENDED)
        assert await given.count(batch) == 3 * PLACES, "created, spoilt, parked, and nothing else"


async def spoil(given: Scene, batch: Batch) -> None:
    """Let a newer program write to the runs."""
    (owner,) = await given.row(READ_OWNER, stream_of(batch.runs[0]))
    async with opened(database_url(given.cluster.settings), "newer") as log:
        for run_id in batch.runs:
            write = StreamWrite(stream_of(run_id), 1, [NEWER])
            await log.append([write], Origin(owner=owner, actor="worker:newer"))
