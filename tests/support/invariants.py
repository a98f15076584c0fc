"""What must hold after every fault, whatever it was.

Everything is read from the database after all runs have ended; what a process remembers does not
count. The names I1 to I12 are those of docs/engine-rules.md.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from domain import credits as accounts
from domain import events
from domain.credits import CreditsHeld, HoldReleased, HoldSettled
from domain.runs import NodeCompleted, NodeStarted, execution_id
from projections import freshness
from projections.catalogue import PROJECTIONS
from projections.runner import Runner, reset
from runtime.database import Row
from runtime.eventlog import reader
from tests.support.budget_rules import check_budgets
from tests.support.run_rules import (
    Fact,
    Repository,
    check_families,
    check_run,
    cost_of,
    created,
    held_for,
)

CATCH_UP_SECONDS_MAX = 20.0

SELECT_LOG = """
SELECT notification_id, originator_id, originator_version, topic, state, actor, recorded_at
FROM log.stored_events ORDER BY notification_id
"""
SELECT_CHECKPOINTS = "SELECT notification_id FROM log.notification_tracking"

Rows = dict[str, list[Row]]


async def check(
    connection: AsyncConnection[Row], started: Iterable[str], seen: Mapping[str, int]
) -> None:
    """Check all of them, over a superuser's connection.

    `started` are the run ids that clients were told, one for each start that they meant; `seen`
    is how often the service outside saw each effect key.
    """
    runs, owned = await read_log(connection)
    meant = [run_id for run_id, facts in runs.items() if created(facts).parent is None]
    assert sorted(meant) == sorted(started), "I1: every start that was answered, once"
    for run_id, facts in runs.items():
        check_run(run_id, facts)
    check_families(runs)
    check_budgets(runs)
    check_effects(runs, seen)
    check_accounts(owned, runs)
    await check_read_models(connection)


async def read_log(connection: AsyncConnection[Row]) -> tuple[Repository, Repository]:
    """All runs and all accounts. I2: no position and no version is missing or doubled."""
    cursor = await connection.execute(SELECT_LOG)
    versions: Counter[str] = Counter()
    facts: defaultdict[str, defaultdict[str, list[Fact]]] = defaultdict(lambda: defaultdict(list))
    for expected, row in enumerate(await cursor.fetchall(), 1):
        position, stream, version, topic, state, actor, at = row
        versions[stream] += 1
        assert position == expected, "I2: a position is missing"
        assert version == versions[stream], f"I2: {stream} misses a version"
        noun, _, name = stream.partition("-")
        if noun in {"run", "credits"}:
            facts[noun][name].append(Fact(position, at, actor, events.decode(topic, state)))
    return facts["run"], facts["credits"]


def check_effects(runs: Repository, seen: Mapping[str, int]) -> None:
    """I7: each finished effect was seen under its key, at most once for each recorded attempt."""
    attempts: Counter[str] = Counter()
    finished: set[str] = set()
    for run_id, facts in runs.items():
        for fact in facts:
            if isinstance(fact.event, NodeStarted):
                attempts[execution_id(run_id, fact.event.execution)] += 1
            elif isinstance(fact.event, NodeCompleted):
                finished.add(execution_id(run_id, fact.event.execution))
    assert seen.keys() <= attempts.keys(), "an effect without a recorded intent"
    for key, count in attempts.items():
        assert seen.get(key, 0) <= count, "an attempt that was not recorded"
        assert key in seen or key not in finished, "an effect that nobody saw"


def check_accounts(owned: Repository, runs: Repository) -> None:
    """I5: what the runs of all accounts set aside was held, and every hold was settled, once."""
    closed = {run_id for facts in owned.values() for run_id in check_account(facts, runs)}
    assert closed == {run_id for run_id, facts in runs.items() if held_for(facts)}


def check_account(facts: Sequence[Fact], runs: Repository) -> set[str]:
    """I5: never below zero, every hold closed once, and spent what the runs say that they cost.

    Returns the runs whose holds it has closed.
    """
    account = accounts.Account()
    open_holds: Counter[str] = Counter()
    closed: set[str] = set()
    for fact in facts:
        match fact.event:
            case CreditsHeld(hold=hold, amount=amount):
                assert hold not in closed, "I5: a closed hold grew"
                open_holds[hold] += amount
            case HoldSettled(hold=hold, held=held) | HoldReleased(hold=hold, held=held):
                assert open_holds.pop(hold) == held, "I5: a hold closed with another amount"
                assert held == held_for(runs[hold]), "I5: held is not what the run set aside"
                closed.add(hold)
        account = accounts.evolve(account, fact.event)
        assert account.available >= 0, "I5: more was held than there is"
    assert not account.holds, "I5: a hold is left although all runs have ended"
    spent = sum(cost_of(runs[run_id]) for run_id in closed)
    assert account.spent == spent, "I5: spent is not cost"
    return closed


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
