"""Reading the log from its beginning: decoded, and folded into read models."""

from __future__ import annotations

import asyncio
import time

from benchmarks.measure import Figure
from domain import credits as accounts
from domain import runs
from domain.credits import CreditsHeld, HoldSettled
from domain.runs import NodeCompleted, RunClaimed, RunCompleted, RunCreated, RunStats
from projections.catalogue import PROJECTIONS
from projections.runner import Runner, reset
from runtime import database, ids
from runtime.eventlog import reader
from runtime.eventlog.log import EventLog, Origin, StreamWrite

USERS = 200
RUNS_EACH = 60
NODES = [
    NodeCompleted(
        execution=number,
        node="018f3c2e-7d11-7c21-8e4f-2a9b1c3d5e02",
        outputs=[("result", f"what node {number} has found out about the matter")],
        elapsed_us=1834,
        cost=1,
    )
    for number in range(10)
]
COST = len(NODES)


async def fill(log: EventLog) -> None:
    """Write what users leave behind: runs of chains, created, claimed, driven and settled."""
    await asyncio.gather(*(_live(log, str(ids.new_id())) for _ in range(USERS)))


async def _live(log: EventLog, user: str) -> None:
    origin = Origin(owner=user, actor=user)
    account = accounts.ACCOUNT.stream_of(user)
    for number in range(RUNS_EACH):
        run_id = str(ids.new_id())
        run = runs.stream_of(run_id)
        created = RunCreated(user, "a graph", 1, {"city": "Lyon"}, steps_max=100, held=COST)
        holding = StreamWrite.of(account, 2 * number, [CreditsHeld(run_id, COST)])
        await log.append([StreamWrite.of(run, 0, [created]), holding], origin)
        driven = StreamWrite.of(run, 1, [RunClaimed("executor-1"), *NODES])
        await log.append([driven], origin)
        completed = RunCompleted(RunStats(len(NODES), 0, COST, 18_340))
        settling = StreamWrite.of(account, 2 * number + 1, [HoldSettled(run_id, COST, COST)])
        await log.append([StreamWrite.of(run, 2 + len(NODES), [completed]), settling], origin)


async def decode_all(url: str) -> Figure:
    """Page through the log and decode every event of it."""
    async with await database.connect(url, "benchmark") as connection:
        position = 0
        began = time.perf_counter()
        while page := await reader.read_page(connection, position):
            for entry in page:
                entry.decode()
            position = page[-1].position
        return Figure(position / (time.perf_counter() - began))


async def rebuild(url: str) -> Figure:
    """Build every read model anew from the whole log."""
    async with await database.connect(url, "benchmark") as connection:
        for projection in PROJECTIONS:
            await reset(connection, projection)
        runner = Runner(connection, PROJECTIONS)
        await runner.open()
        began = time.perf_counter()
        while await runner.step():
            pass
        return Figure(runner.position / (time.perf_counter() - began))
