"""What people are asked: waiting until they answer, or until the run ends without an answer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from domain.events import Event
from domain.runs import (
    ReviewDecided,
    ReviewReason,
    ReviewRequested,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunStats,
    RunSuspended,
    RunTerminated,
    execution_id,
)
from projections.reviews import ReviewRow, find, list_of_run, list_waiting
from runtime.database import Row
from runtime.eventlog.log import EventLog
from tests.projections.support import bring_up_to_date
from tests.support.log import ORIGIN, append, whole_stream

STATS = RunStats()
USER = ORIGIN.owner
WHOLE = "SELECT status, message, was_edited, reviewed_at, position FROM read.reviews ORDER BY 5"


def created() -> RunCreated:
    return RunCreated(USER, "g", 2, {}, steps_max=9)


def asked(number: int = 0, data: Any = "a letter") -> ReviewRequested:
    return ReviewRequested(number, "n", "Letter", data, ReviewReason.ASKED, editable=True)


def decided(number: int = 0, *, approved: bool = True) -> ReviewDecided:
    return ReviewDecided(number, "n", approved, data={"better": 1}, message="fine", edited=True)


async def run(log: EventLog, run_id: str, *events: Event) -> None:
    await append(log, f"run-{run_id}", 0, created(), RunClaimed("one"), *events)


async def waiting(connection: AsyncConnection[Row], user_id: str = USER) -> list[ReviewRow]:
    await bring_up_to_date(connection)
    return await list_waiting(connection, user_id=user_id, limit=9, offset=0)


async def rows(connection: AsyncConnection[Row]) -> list[Row]:
    await bring_up_to_date(connection)
    return await (await connection.execute(WHOLE)).fetchall()


async def test_a_question_waits_until_it_is_answered(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    payload = {"to": ["Ünï"], "cc": None}
    await run(event_log, "r", asked(3, payload))
    [row] = await waiting(connection)
    [_, _, entry] = await whole_stream(event_log, "run-r")
    assert row == ReviewRow(
        node_exec_id=execution_id("r", 3),
        user_id=USER,
        run_id="r",
        graph_id="g",
        graph_version=2,
        execution=3,
        node_id="n",
        name="Letter",
        payload=payload,
        large=None,
        editable=True,
        status="WAITING",
        created_at=entry.recorded_at,
    )
    await append(event_log, "run-r", 3, RunSuspended(STATS), decided(3))
    assert await waiting(connection) == []
    [*_, entry] = await whole_stream(event_log, "run-r")
    assert await rows(connection) == [("APPROVED", "fine", True, entry.recorded_at, 5)]


@pytest.mark.parametrize("payload", [None, 0, "", [], {}, "null", 'a "quoted" text', 1.5])
async def test_any_value_can_be_asked_about(
    event_log: EventLog, connection: AsyncConnection[Row], payload: Any
) -> None:
    await run(event_log, "r", asked(0, payload))
    [row] = await waiting(connection)
    assert (row.payload, type(row.payload)) == (payload, type(payload))


async def test_a_whole_life_in_one_batch_is_the_same(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await run(event_log, "no", asked(), decided(approved=False), RunCompleted(STATS))
    await run(event_log, "again", asked(data=1), decided(), asked(data=2))
    [row] = await waiting(connection)
    assert (row.run_id, row.payload) == ("again", 2)
    [no, again] = await rows(connection)
    assert (no[0], again[:4]) == ("REJECTED", ("WAITING", None, None, None))


async def test_a_question_can_be_asked_again(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await run(event_log, "r", asked(data=1), decided())
    assert await waiting(connection) == []
    await append(event_log, "run-r", 4, asked(data=2))
    [row] = await waiting(connection)
    assert row.payload == 2
    assert [row[:4] for row in await rows(connection)] == [("WAITING", None, None, None)]


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize("end", [RunTerminated(STATS), RunFailed("broken", STATS)])
async def test_the_end_of_a_run_rejects_what_still_waits(
    event_log: EventLog, connection: AsyncConnection[Row], end: Event, in_one_batch: bool
) -> None:
    await run(event_log, "ends", asked(0), asked(1), decided(0))
    await run(event_log, "goes on", asked(0))
    if not in_one_batch:
        assert len(await waiting(connection)) == 2
    await append(event_log, "run-ends", 5, end)
    assert [row.run_id for row in await waiting(connection)] == ["goes on"]
    [*_, entry] = await whole_stream(event_log, "run-ends")
    answered, _, rejected = await rows(connection)
    assert answered[0] == "APPROVED"
    assert rejected == ("REJECTED", None, None, entry.recorded_at, 9)


async def test_lists_are_of_one_user_and_of_one_run(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await run(event_log, "first", asked(1), asked(0))
    await run(event_log, "second", asked(0))
    assert [row.run_id for row in await waiting(connection)] == ["second", "first", "first"]
    assert await waiting(connection, "somebody else") == []
    page = await list_waiting(connection, user_id=USER, limit=1, offset=1)
    assert [row.run_id for row in page] == ["first"]
    for run_id, limit, offset, executions in (
        ("first", 9, 0, [0, 1]),
        ("first", 1, 1, [1]),
        ("none", 9, 0, []),
    ):
        found = await list_of_run(connection, run_id=run_id, limit=limit, offset=offset)
        assert [row.execution for row in found] == executions


async def test_questions_are_found_by_their_users_alone(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    await run(event_log, "r", asked(7), decided(7))
    await bring_up_to_date(connection)
    wanted = [execution_id("r", 7), execution_id("r", 8)]
    found = await find(connection, user_id=USER, node_exec_ids=wanted)
    assert found.keys() == {wanted[0]}
    assert (found[wanted[0]].run_id, found[wanted[0]].execution) == ("r", 7)
    assert await find(connection, user_id="somebody else", node_exec_ids=wanted) == {}


async def test_what_is_too_large_for_a_list_is_named_by_its_hash(
    event_log: EventLog, connection: AsyncConnection[Row]
) -> None:
    question = asked(3, None)
    await run(event_log, "r", msgspec.structs.replace(question, large="0" * 64))
    [row] = await waiting(connection)
    assert (row.payload, row.large) == (None, "0" * 64)
    await append(event_log, "run-r", 3, decided(3), question)
    [row] = await waiting(connection)
    assert (row.payload, row.large) == (None, None)
