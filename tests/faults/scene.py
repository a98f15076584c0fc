"""An installation, a client, a service outside: what every fault happens to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import LiteralString, NamedTuple

import httpx2
import psycopg

from blocks.web import SendWebRequest
from domain.runs import stream_of
from runtime.database import Row
from tests.faults.caller import Caller
from tests.faults.figures import Figures, figures
from tests.faults.graphs import Step, added, chain, parent
from tests.support import invariants
from tests.support.cluster import Cluster
from tests.support.effects import Effects, effects
from tests.support.graphs import Document
from tests.support.run_rules import Fact

END_SECONDS_MAX = 25.0
"""How long runs may take to end by themselves, whatever happened to the processes."""
POLL_SECONDS = 0.02
CREDITS = "100000"

COUNT = """
SELECT count(*) FROM log.stored_events
WHERE originator_id = ANY(%s) AND topic = coalesce(%s, topic)
"""
COUNT_UNFINISHED = """
SELECT count(*) FILTER (WHERE type = 'runs.RunCreated') - count(*) FILTER (
    WHERE type IN ('runs.RunCompleted', 'runs.RunFailed', 'runs.RunTerminated'))
FROM log.history
"""
ENDED = "runs.RunCompleted@1"


class Batch(NamedTuple):
    """Runs of one graph: the first has the input 0, the next 1, and so on.

    `added` is how much more each element of their output is, of which there are `times`.
    """

    graph_id: str
    runs: Sequence[str]
    added: int
    times: int = 1


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
        model = await self.caller.save(chain(steps, self.effects.url))
        return Batch(model["id"], await self.start_runs(model["id"], runs), added(steps))

    async def start_runs(self, graph_id: str, runs: int) -> Sequence[str]:
        """Start runs of a graph, all at once."""
        started = (self.caller.start(graph_id, number) for number in range(runs))
        return await asyncio.gather(*started)

    async def start_family(self, children: int, steps: Sequence[Step]) -> Batch:
        """Start a run of an effect and so many sub-graphs, which are such chains."""
        url = self.effects.url
        child = await self.caller.save(chain(steps, url))
        model = await self.caller.save(parent(child, children, url))
        assert added(steps) == 1, "as much as the effect beside them adds"
        return Batch(model["id"], await self.start_runs(model["id"], 1), 1, children + 1)

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
            await asyncio.gather(*(self._check(batch, n) for n in range(len(batch.runs))))
        await self.keeps_its_promises()

    async def keeps_its_promises(self, but: Container[str] = ()) -> None:
        """Wait until every run there is has ended; then check all invariants.

        `but` are errors in the logs of which the test is the cause.
        """
        await self.is_sound()
        assert not self.cluster.complaints(but)

    async def is_sound(self) -> None:
        """The same, for a test by which the logs have suffered too."""
        async with asyncio.timeout(END_SECONDS_MAX):
            while await self.row(COUNT_UNFINISHED) != (0,):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(POLL_SECONDS)
        await self.cluster.recovered()
        await self.caller.check_receipts()
        async with await self.cluster.connect() as connection:
            await invariants.check(connection, self.caller.started.values(), self.effects.seen)

    async def figures(self, *batches: Batch) -> Figures:
        """What deaths cost these runs, all of which have ended. They are printed too."""
        facts = await self.facts()
        runs = {run_id: facts[run_id] for batch in batches for run_id in batch.runs}
        found = figures(runs, self.effects.seen)
        print(found)
        return found

    async def facts(self) -> dict[str, Sequence[Fact]]:
        """The streams of all runs, by run id."""
        async with await self.cluster.connect() as connection:
            runs, _ = await invariants.read_log(connection)
        return dict(runs)

    async def shown(self, batch: Batch, number: int = 0) -> Document:
        """A run of the batch, as the API shows it."""
        return await self.caller.run(batch.graph_id, batch.runs[number])

    async def _check(self, batch: Batch, number: int) -> None:
        run = await self.shown(batch, number)
        assert run["status"] == "COMPLETED"
        assert run["outputs"] == {"out": [number + batch.added] * batch.times}

    async def attempted(self, batch: Batch) -> list[Attempted]:
        """The effects of the batch's first run, in the order of the chain."""
        run = await self.shown(batch)
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
