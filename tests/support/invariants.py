"""What must hold after every fault, whatever it was.

Everything is read from the database after all runs have ended; what a process remembers does not
count. The names I1 to I12 are those of the reliability matrix.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import AsyncConnection

from domain import credits as accounts
from domain import events
from domain.credits import CreditsHeld, HoldReleased, HoldSettled
from domain.events import Event
from domain.runs import (
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeStarted,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    execution_id,
)
from projections import freshness
from projections.catalogue import PROJECTIONS
from projections.runner import Runner, reset
from runtime.database import Row
from runtime.eventlog import reader

CATCH_UP_SECONDS_MAX = 20.0

SELECT_LOG = """
SELECT notification_id, originator_id, originator_version, topic, state, actor
FROM log.stored_events ORDER BY notification_id
"""
SELECT_CHECKPOINTS = "SELECT notification_id FROM log.notification_tracking"

NodeEvent = NodeStarted | NodeDeferred | NodeCompleted | NodeFailed
Rows = dict[str, list[Row]]


class Fact(NamedTuple):
    """One event of a stream, and who wrote it."""

    actor: str
    event: Event


Streams = Mapping[str, Sequence[Fact]]
"""By the id of the run or of the account's user."""


async def check(
    connection: AsyncConnection[Row], started: Iterable[str], seen: Mapping[str, int]
) -> None:
    """Check all of them, over a superuser's connection.

    `started` are the run ids that clients were told, one for each start that they meant; `seen`
    is how often the service outside saw each effect key.
    """
    runs, owned = await _read_log(connection)
    assert sorted(runs) == sorted(started), "I1: every start that was answered, once"
    for facts in runs.values():
        check_run(facts)
    check_effects(runs, seen)
    for facts in owned.values():
        check_account(facts, runs)
    await check_read_models(connection)


async def _read_log(connection: AsyncConnection[Row]) -> tuple[Streams, Streams]:
    """All runs and all accounts. I2: no position and no version is missing or doubled."""
    cursor = await connection.execute(SELECT_LOG)
    versions: Counter[str] = Counter()
    facts: defaultdict[str, defaultdict[str, list[Fact]]] = defaultdict(lambda: defaultdict(list))
    for expected, row in enumerate(await cursor.fetchall(), 1):
        position, stream, version, topic, state, actor = row
        versions[stream] += 1
        assert position == expected, "I2: a position is missing"
        assert version == versions[stream], f"I2: {stream} misses a version"
        noun, _, name = stream.partition("-")
        if noun in {"run", "credits"}:
            facts[noun][name].append(Fact(actor, events.decode(topic, state)))
    return facts["run"], facts["credits"]


def check_run(facts: Sequence[Fact]) -> None:
    """I6: it ended, once. I7: each node finished once, and nothing of it happened afterwards.

    Between two claims nobody but the claiming worker wrote anything: that is the fence.
    """
    first, *rest = facts
    assert isinstance(first.event, RunCreated)
    assert [isinstance(fact.event, RunCompleted | RunFailed) for fact in facts].index(True) == len(
        rest
    ), "I6: a run ends, and that is the last of it"
    worker = None
    finished: set[int] = set()
    attempts: Counter[int] = Counter()
    for fact in rest:
        event = fact.event
        if isinstance(event, RunClaimed):
            worker = event.worker
        assert fact.actor == f"worker:{worker}", "somebody wrote who had lost the run"
        if isinstance(event, NodeEvent):
            assert event.execution not in finished, "I7: a finished node moved again"
        if isinstance(event, NodeStarted):
            attempts[event.execution] += 1
            assert event.attempt == attempts[event.execution], "an attempt was not counted"
        if isinstance(event, NodeCompleted | NodeFailed):
            finished.add(event.execution)


def check_effects(runs: Streams, seen: Mapping[str, int]) -> None:
    """I7: each finished effect was seen under its key, at most once for each recorded attempt."""
    attempts: Counter[str] = Counter()
    for run_id, facts in runs.items():
        for fact in facts:
            if isinstance(fact.event, NodeStarted):
                attempts[execution_id(run_id, fact.event.execution)] += 1
    assert seen.keys() <= attempts.keys(), "an effect without a recorded intent"
    for key, count in attempts.items():
        assert 1 <= seen[key] <= count, "an effect that nobody saw, or an attempt too many"


def check_account(facts: Sequence[Fact], runs: Streams) -> None:
    """I5: never below zero, every hold closed once, and spent what the runs say that they cost."""
    account = accounts.EMPTY
    open_holds: Counter[str] = Counter()
    closed: set[str] = set()
    for fact in facts:
        match fact.event:
            case CreditsHeld(hold=hold, amount=amount):
                assert hold not in closed, "I5: a closed hold grew"
                open_holds[hold] += amount
            case HoldSettled(hold=hold, held=held) | HoldReleased(hold=hold, held=held):
                assert open_holds.pop(hold) == held, "I5: a hold closed with another amount"
                closed.add(hold)
        account = accounts.evolve(account, fact.event)
        assert account.available >= 0, "I5: more was held than there is"
    assert not account.holds, "I5: a hold is left although all runs have ended"
    assert account.spent == sum(_cost(runs[run_id]) for run_id in closed), "I5: spent is not cost"


def _cost(facts: Sequence[Fact]) -> int:
    return sum(fact.event.cost for fact in facts if isinstance(fact.event, NodeCompleted))


async def check_read_models(connection: AsyncConnection[Row]) -> None:
    """I4: every read model is row by row what a rebuild from the log makes of it.

    I12: no checkpoint is ahead of the log. The rebuild is rolled back, so nobody else sees it.
    """
    head = await reader.read_head(connection)
    async with asyncio.timeout(CATCH_UP_SECONDS_MAX):
        while await freshness.position(connection) < head:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    cursor = await connection.execute(SELECT_CHECKPOINTS)
    assert all(row[0] <= head for row in await cursor.fetchall()), "I12: ahead of the log"
    live = await _rows(connection)
    async with connection.transaction(force_rollback=True):
        for projection in PROJECTIONS:
            await reset(connection, projection)
        runner = Runner(connection, PROJECTIONS)
        await runner.open()
        while await runner.step():
            pass
        rebuilt = await _rows(connection)
    assert live == rebuilt, "I4: a read model differs from its rebuild"


async def _rows(connection: AsyncConnection[Row]) -> Rows:
    tables = [table for projection in PROJECTIONS for table in projection.tables]
    found: Rows = {}
    for table in tables:
        query: Any = f"SELECT * FROM {table} ORDER BY 1"
        found[table] = await (await connection.execute(query)).fetchall()
    return found
