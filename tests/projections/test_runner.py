"""Read models are a function of the log, whatever happens on the way."""

from __future__ import annotations

import asyncio
from typing import Any, LiteralString

import pytest
from psycopg import AsyncConnection

from domain import credits as accounts
from domain.credits import Account
from domain.events import UnknownEventType
from domain.runs import RunCompleted, RunCreated, RunStats
from projections.catalogue import PROJECTIONS
from projections.credits import CreditsProjection
from projections.runner import CheckpointMoved, reset
from runtime import database
from runtime.database import Row
from runtime.eventlog.append import StreamWrite
from runtime.eventlog.log import EventLog
from runtime.eventlog.mapper import Encoded
from runtime.eventlog.reader import GapFound
from tests.projections.support import bring_up_to_date, catch_up, opened
from tests.support.history import Entry, History
from tests.support.log import ORIGIN, append, granted, whole_stream

MANY = 8_000

TABLES = tuple(table for projection in PROJECTIONS for table in projection.tables)


async def rows(connection: AsyncConnection[Row], table: str) -> list[Row]:
    query: Any = f"SELECT * FROM {table} ORDER BY 1"
    return await (await connection.execute(query)).fetchall()


async def all_rows(connection: AsyncConnection[Row]) -> dict[str, list[Row]]:
    return {table: await rows(connection, table) for table in TABLES}


@pytest.mark.parametrize("seed", range(4))
async def test_a_rebuild_equals_what_grew_with_the_log(
    event_log: EventLog, connection: AsyncConnection[Row], seed: int
) -> None:
    runner = await opened(connection)
    history = History(event_log, seed)
    life = asyncio.create_task(history.live(owners=4, runs_each=12))
    pages = 0
    while not life.done():
        pages += bool(await runner.step())
    await life
    await catch_up(runner)
    assert pages > 9
    assert runner.position == await event_log.read_head()
    grown = await all_rows(connection)
    sizes = {table: len(grown[table]) for table in ("read.graphs", "read.runs", "read.accounts")}
    assert sizes == {"read.graphs": 4, "read.runs": 48, "read.accounts": 4}
    for projection in PROJECTIONS:
        await reset(connection, projection)
    assert await all_rows(connection) == {table: [] for table in TABLES}
    await bring_up_to_date(connection)
    assert await all_rows(connection) == grown


async def test_accounts_are_what_their_streams_fold_to(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await History(event_log, 7).live(owners=5, runs_each=10)
    await bring_up_to_date(connection)
    cursor = await connection.execute(
        "SELECT user_id, granted, spent, held, available FROM read.accounts"
    )
    found = await cursor.fetchall()
    assert len(found) == 5
    for user_id, total, spent, held, available in found:
        account: Account = accounts.Account()
        for entry in await whole_stream(event_log, accounts.ACCOUNT.stream_of(user_id)):
            account = accounts.evolve(account, entry.event)
        assert (total, spent, held, available) == (
            *(account.granted, account.spent, account.held, account.available),
        )


async def test_one_read_model_is_rebuilt_while_the_others_stay(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await History(event_log, 3).live(owners=2, runs_each=3)
    runner = await opened(connection)
    await catch_up(runner)
    before = await all_rows(connection)
    [credits_] = [p for p in PROJECTIONS if isinstance(p, CreditsProjection)]
    await reset(connection, credits_)
    assert await rows(connection, "read.accounts") == []
    assert await rows(connection, "read.runs") == before["read.runs"]
    await append(event_log, "credits-new", 0)
    with pytest.raises(CheckpointMoved):
        await runner.step()
    runner = await opened(connection)
    assert runner.position == 0
    await catch_up(runner)
    after = await all_rows(connection)
    assert after.pop("read.accounts")[1:] == before.pop("read.accounts")
    assert after == before


async def test_of_two_runners_one_gives_way(
    event_log: EventLog, connection: AsyncConnection[Row], database_url: str
) -> None:
    async with await database.connect(database_url, "second") as other:
        runners = [await opened(connection), await opened(other)]
        await History(event_log, 5).live(owners=3, runs_each=4)
        results = await asyncio.gather(*(r.step() for r in runners), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["CheckpointMoved", "int"]
        await catch_up(runners[0] if isinstance(results[0], int) else runners[1])
    grown = await all_rows(connection)
    for projection in PROJECTIONS:
        await reset(connection, projection)
    await bring_up_to_date(connection)
    assert await all_rows(connection) == grown


async def test_a_reset_and_a_step_do_not_deadlock(
    event_log: EventLog, connection: AsyncConnection[Row], database_url: str
) -> None:
    async with await database.connect(database_url, "operator") as operator:
        for seed in range(10):
            await History(event_log, seed).write([("o", f"credits-{seed}", granted())])
            runner = await opened(connection)
            step, _ = await asyncio.gather(
                runner.step(),
                reset(operator, PROJECTIONS[seed % len(PROJECTIONS)]),
                return_exceptions=True,
            )
            assert isinstance(step, int | CheckpointMoved)
    await bring_up_to_date(connection)
    assert len(await rows(connection, "read.accounts")) == 1


@pytest.mark.parametrize("topic", ["runs.RunVanished@1", "runs.RunCompleted@99", "nonsense"])
async def test_an_unknown_event_stops_the_runner(
    event_log: EventLog, connection: AsyncConnection[Row], topic: str
) -> None:
    await append(event_log, "credits-a", 0, granted(3))
    runner = await opened(connection)
    await catch_up(runner)
    await append(event_log, "credits-a", 1, granted(4))
    unknown = StreamWrite("run-a", 0, [Encoded(topic, b"{}")])
    await event_log.append([unknown], ORIGIN)
    await append(event_log, "credits-a", 2, granted(5))
    for _ in range(2):
        with pytest.raises(UnknownEventType, match="position 3"):
            await runner.step()
    assert (await opened(connection)).position == 1
    [account] = await rows(connection, "read.accounts")
    assert account[1] == 3


async def test_a_gap_stops_the_runner(
    event_log: EventLog, connection: AsyncConnection[Row], superuser_url: str
) -> None:
    await append(event_log, "credits-a", 0, granted(), granted(), granted())
    remove: LiteralString = (
        "ALTER TABLE log.stored_events DISABLE TRIGGER stored_events_append_only;"
        "DELETE FROM log.stored_events WHERE notification_id = 2"
    )
    async with await AsyncConnection.connect(superuser_url) as superuser:
        await superuser.execute(remove)
    with pytest.raises(GapFound):
        await (await opened(connection)).step()
    assert await rows(connection, "read.accounts") == []


async def test_no_rebuild_scans_its_tables_again_and_again(
    event_log: EventLog, database_url: str, superuser_url: str
) -> None:
    """The plans are made while the tables are empty, and kept until the end."""
    async with await database.connect(database_url, "test projector") as connection:
        runner = await opened(connection)
        history = History(event_log, 1)
        await history.live(owners=2, runs_each=3)
        await catch_up(runner)
        for number in range(MANY // 500):
            batch = range(number * 500, (number + 1) * 500)
            await history.write([created(f"many-{run}") for run in batch])
            await history.write([completed(f"many-{run}") for run in batch])
        await catch_up(runner)
    async with await AsyncConnection.connect(superuser_url) as superuser:
        cursor = await superuser.execute(
            "SELECT relname, n_live_tup, seq_tup_read FROM pg_stat_user_tables"
            " WHERE schemaname = 'read'"
        )
        counts = {row[0]: row[1:] for row in await cursor.fetchall()}
    assert counts["runs"][0] > MANY
    for _, rows_of_scans in counts.values():
        assert rows_of_scans < MANY


def created(run_id: str) -> Entry:
    return f"owner-of-{run_id}", f"run-{run_id}", RunCreated("o", "g", 1, {}, steps_max=1)


def completed(run_id: str) -> Entry:
    return f"owner-of-{run_id}", f"run-{run_id}", RunCompleted(RunStats())
