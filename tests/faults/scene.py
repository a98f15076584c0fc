"""An installation, a client, a service outside: what every fault happens to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import LiteralString, NamedTuple

import httpx2
import psycopg

from blocks.web import SendWebRequest
from domain.runs import stream_of
from runtime.database import Row
from tests.faults.caller import Caller
from tests.faults.graphs import Step, added, chain
from tests.support import invariants
from tests.support.cluster import Cluster
from tests.support.effects import Effects, effects

END_SECONDS_MAX = 25.0
"""How long runs may take to end by themselves, whatever happened to the processes."""
POLL_SECONDS = 0.02
CREDITS = "100000"

COUNT = """
SELECT count(*) FROM log.stored_events
WHERE originator_id = ANY(%s) AND topic = coalesce(%s, topic)
"""
ENDED = "runs.RunCompleted@1"


class Batch(NamedTuple):
    """Runs of one graph: the first has the input 0, the next 1, and so on."""

    graph_id: str
    steps: Sequence[Step]
    runs: Sequence[str]


class Attempted(NamedTuple):
    """An effect of a run: how often it was begun, and how often the service outside saw it."""

    attempts: int
    seen: int


class Scene:
    def __init__(self, cluster: Cluster, caller: Caller, service: Effects) -> None:
        self.cluster = cluster
        self.caller = caller
        self.effects = service

    async def start(self, steps: Sequence[Step], runs: int = 1) -> Batch:
        """Save a chain and start its runs, all at once."""
        graph_id = await self.caller.save(chain(steps, self.effects.url))
        started = (self.caller.start(graph_id, number) for number in range(runs))
        return Batch(graph_id, steps, await asyncio.gather(*started))

    async def recorded(self, batch: Batch, count: int, topic: str | None = None) -> None:
        """Wait until the streams of these runs hold `count` events, of one topic or of any.

        While the database is away there is none.
        """
        async with asyncio.timeout(END_SECONDS_MAX):
            while True:
                with suppress(psycopg.OperationalError):
                    if await self.count(batch, topic) >= count:
                        return
                await asyncio.sleep(POLL_SECONDS)

    async def ended(self, batch: Batch) -> None:
        """Wait until all runs have ended well, without anybody's help."""
        await self.recorded(batch, len(batch.runs), ENDED)

    async def count(self, batch: Batch, topic: str | None = None) -> int:
        """How many events these runs have, of one topic or of any."""
        streams = [stream_of(run_id) for run_id in batch.runs]
        count: int = (await self.row(COUNT, streams, topic))[0]
        return count

    async def row(self, query: LiteralString, *parameters: object) -> Row:
        """The first row of a query. Raises psycopg.OperationalError."""
        async with await self.cluster.connect() as connection:
            found = await (await connection.execute(query, parameters)).fetchone()
        assert found is not None
        return found

    async def settle(self, *batches: Batch) -> None:
        """Wait until all runs have ended well, and check that every promise was kept."""
        for batch in batches:
            await self.ended(batch)
            for number, run_id in enumerate(batch.runs):
                run = await self.caller.run(batch.graph_id, run_id)
                assert run["status"] == "COMPLETED"
                assert run["outputs"] == {"out": [number + added(batch.steps)]}
        await self.cluster.recovered()
        await self.caller.check_receipts()
        assert not self.cluster.complaints()
        async with await self.cluster.connect() as connection:
            await invariants.check(connection, self.caller.started.values(), self.effects.seen)

    async def attempted(self, batch: Batch) -> list[Attempted]:
        """The effects of the batch's first run, in the order of the chain."""
        run = await self.caller.run(batch.graph_id, batch.runs[0])
        return [
            Attempted(node["attempt"], self.effects.seen[node["node_exec_id"]])
            for node in run["node_executions"]
            if node["block_id"] == SendWebRequest.id
        ]


@asynccontextmanager
async def scene(data_dir: Path, **environ: str) -> AsyncIterator[Scene]:
    """A running installation with one user, who has plenty of credits."""
    environ.setdefault("EVERGRAPH_SIGNUP_CREDITS", CREDITS)
    cluster = Cluster(data_dir, environ)
    async with (
        effects() as service,
        cluster.running(),
        httpx2.AsyncClient(base_url=f"{cluster.url}/api/v1") as http,
    ):
        caller = Caller(cluster.settings, http)
        await caller.sign_up()
        yield Scene(cluster, caller, service)
