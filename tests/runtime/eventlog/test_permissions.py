"""The database itself keeps the log append-only, whoever asks."""

from __future__ import annotations

from typing import LiteralString

import pytest
from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege

from domain.users import UserRegistered
from runtime import clock
from runtime.database import Row
from runtime.eventlog.log import EventLog
from tests.support.log import append, receipt

COPY: LiteralString = (
    "INSERT INTO log.stored_events SELECT 'a', 99, topic, state, 99, owner, actor, causation,"
    " correlation, recorded_at FROM log.stored_events"
)

CHANGES: tuple[LiteralString, ...] = (
    "UPDATE log.stored_events SET actor = 'nobody'",
    "UPDATE log.stored_events SET actor = 'nobody' WHERE false",
    f"{COPY} ON CONFLICT (notification_id) DO UPDATE SET actor = 'nobody'",
    "DELETE FROM log.stored_events",
    "TRUNCATE log.stored_events",
)

NOTHING: LiteralString = "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"

TRICKS: tuple[LiteralString, ...] = (
    COPY,
    "ALTER TABLE log.stored_events DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
    "DROP TRIGGER stored_events_append_only ON log.stored_events",
    "DROP TABLE log.stored_events",
    f"CREATE OR REPLACE FUNCTION log.refuse_change() RETURNS trigger {NOTHING}",
    f"CREATE FUNCTION log.unnest(text[]) RETURNS text {NOTHING}",
    "UPDATE log.receipts SET answer = ''",
    "INSERT INTO log.receipts SELECT 'eve', key, '', '', 1, recorded_at FROM log.receipts",
)


@pytest.fixture(autouse=True)
async def _something_written(event_log: EventLog) -> None:
    await append(event_log, "a", 0, receipt=receipt("key"))


@pytest.mark.holds("S41")
async def test_the_application_may_only_append(application: AsyncConnection[Row]) -> None:
    for change in (*CHANGES, *TRICKS):
        with pytest.raises(InsufficientPrivilege):
            await application.execute(change)


@pytest.mark.holds("S41")
async def test_the_superuser_is_stopped_by_the_trigger(superuser: AsyncConnection[Row]) -> None:
    for role in ("origin", "replica"):
        await superuser.execute(f"SET session_replication_role = {role}")
        for change in CHANGES:
            with pytest.raises(InsufficientPrivilege, match="append-only"):
                await superuser.execute(change)


@pytest.mark.holds("S41")
async def test_analysts_see_read_models_and_no_events(superuser: AsyncConnection[Row]) -> None:
    await superuser.execute("SET ROLE evergraph_analyst")
    await superuser.execute("SELECT count(*) FROM read.runs")
    for table in ("log.stored_events", "log.history", "log.receipts", "log.values"):
        with pytest.raises(InsufficientPrivilege):
            await superuser.execute(f"SELECT FROM {table}")
    with pytest.raises(InsufficientPrivilege):
        await superuser.execute("DELETE FROM read.runs")


async def test_people_read_the_log_in_plain_words(
    event_log: EventLog, application: AsyncConnection[Row]
) -> None:
    event = UserRegistered(user_id="u", email="ü@example.org", name=None, at=clock.now())
    await append(event_log, "user-u", 0, event)
    cursor = await application.execute(
        "SELECT position, stream, version, type, schema_version, data ->> 'email', owner, actor,"
        " causation IS NULL, correlation, recorded_at <= now() FROM log.history ORDER BY position"
    )
    rows = await cursor.fetchall()
    assert rows[1] == (
        *(2, "user-u", 1, "users.UserRegistered", 1, "ü@example.org", "ada", "ada"),
        *(False, None, True),
    )


async def test_a_session_that_idles_in_a_transaction_stalls_nobody(
    event_log: EventLog, superuser: AsyncConnection[Row]
) -> None:
    """A watermark of transaction ids would wait for it."""
    async with superuser.transaction():
        await superuser.execute("CREATE TABLE elsewhere (id int)")
        await superuser.execute("INSERT INTO elsewhere VALUES (1)")
        await append(event_log, "a", 1)
        assert await event_log.read_head() == 2


async def test_connections_have_limits_of_time(application: AsyncConnection[Row]) -> None:
    for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        cursor = await application.execute("SELECT current_setting(%s)", (setting,))
        [(value,)] = await cursor.fetchall()
        assert value not in {"0", "0s"}
