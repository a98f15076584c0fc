"""While the database is away, full, locked or read-only: 503s in time that say what to do, no 500s,
and reads as long as it can be read.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from domain.limits import database_limits, log_limits, value_limits
from domain.runs import stream_of
from runtime import clock, ids
from tests.support.alone import Alone, kill, standing_alone
from tests.support.api import Saved, answered, eventually
from tests.support.disk import disk
from tests.support.graphs import Document, echo

DISK_MEGABYTES = 160
SECONDS_MAX = log_limits.APPEND_SECONDS_MAX + 1.0
LANES = 16
RUNS = "SELECT originator_id FROM log.stored_events WHERE topic LIKE 'runs.RunCreated%'"
LOG_LOCK = "SELECT pg_advisory_xact_lock(4919201701)"


class Answer(NamedTuple):
    response: httpx2.Response
    seconds: float

    @property
    def said(self) -> tuple[int, str]:
        """The status, and what kind of problem it is."""
        status = self.response.status_code
        return status, "" if status == 200 else self.response.json()["type"]


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Alone]:
    async with standing_alone(tmp_path) as one:
        answered(await one.caller.post("/api/v1/auth/user"))
        yield one


async def timed(alone: Alone, method: str, path: str, body: Document | None = None) -> Answer:
    """One request. A 503 says when to come again, and what to do then."""
    began = clock.monotonic()
    response = await alone.caller.request(method, path, body, Idempotency_Key=str(ids.new_id()))
    if response.status_code != 200:
        problem = answered(response, 503)
        assert response.headers["retry-after"] == "1"
        assert problem["hint"]
        if "unknown" in problem["message"]:
            assert "Idempotency-Key" in problem["hint"]
    return Answer(response, clock.monotonic() - began)


async def started(alone: Alone, graph: Saved) -> Answer:
    return await timed(alone, "POST", graph.execute_path, {"inputs": {}})


async def test_a_crash_under_load_refuses_in_time_and_loses_nothing(alone: Alone) -> None:
    """Whatever was answered with 200 is there afterwards."""
    graph = await alone.caller.save(echo())
    answers: list[Answer] = []
    is_over = asyncio.Event()

    async def load() -> None:
        while not is_over.is_set():
            answers.append(await started(alone, graph))

    async with asyncio.TaskGroup() as lanes:
        for _ in range(LANES):
            lanes.create_task(load())
        await eventually(lambda: accepted_some(answers))
        await kill(alone.postgres)
        await eventually(lambda: refused_by_all(answers))
        await alone.postgres.start()
        await eventually(alone.reads)
        is_over.set()
    assert {answer.said for answer in answers} == {(200, ""), (503, "unavailable")}
    assert max(answer.seconds for answer in answers) < SECONDS_MAX
    for answer in answers:
        if answer.response.status_code == 200:
            await alone.caller.read(graph.run_path(answer.response.json()["id"]))


async def refused_by_all(answers: list[Answer]) -> bool:
    return sum(answer.said[0] == 503 for answer in answers) > 2 * LANES


async def accepted_some(answers: list[Answer]) -> bool:
    return any(answer.said == (200, "") for answer in answers)


async def test_a_start_whose_outcome_is_unknown_takes_effect_once(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the append does not come."""
    graph = await alone.caller.save(echo())
    monkeypatch.setattr(log_limits, "APPEND_SECONDS_MAX", 0.2)
    async with alone.hung("%appender"):
        refused = await alone.caller.post(graph.execute_path, {}, Idempotency_Key="key")
    problem = answered(refused, 503)
    assert (problem["type"], refused.headers["retry-after"]) == ("unavailable", "1")
    assert "whether the command took effect is unknown" in problem["message"]
    assert "with the same Idempotency-Key" in problem["hint"]
    monkeypatch.undo()
    repeated = [
        answered(await alone.caller.post(graph.execute_path, {}, Idempotency_Key="key"))["id"]
        for _ in range(2)
    ]
    assert len(set(repeated)) == 1
    async with alone.superuser() as connection:
        created = await (await connection.execute(RUNS)).fetchall()
    assert created == [(stream_of(repeated[0]),)]


async def test_sessions_that_hang_are_given_up_and_replaced(alone: Alone) -> None:
    """Nothing breaks, and nothing comes either; new sessions are answered."""
    graph = await alone.caller.save(echo())
    async with alone.hung():
        for _ in range(3):
            asked = (
                timed(alone, "GET", "/api/v1/credits"),
                timed(alone, "GET", "/api/v1/executions"),
                started(alone, graph),
            )
            for answer in await asyncio.gather(*asked):
                assert answer.seconds < 2 * SECONDS_MAX
        await eventually(alone.reads)
        assert (await started(alone, graph)).said == (200, "")


async def test_commands_are_taken_while_slow_queries_use_the_pool_up(alone: Alone) -> None:
    """Lists wait for a lock that somebody holds, up to their bound."""
    graph = await alone.caller.save(echo())
    async with alone.superuser() as connection, connection.transaction():
        await connection.execute("LOCK TABLE read.runs")
        lists = [
            asyncio.create_task(timed(alone, "GET", "/api/v1/executions"))
            for _ in range(2 * database_limits.DATABASE_POOL_CONNECTIONS_MAX)
        ]
        response = await alone.caller.post(graph.execute_path, {"inputs": {}})
        assert answered(response)["id"]
        assert not any(task.done() for task in lists)
        assert (await alone.http.get("/health/live")).status_code == 200
        answers = await asyncio.gather(*lists)
    assert Counter(answer.said for answer in answers) == {(503, "unavailable"): len(lists)}
    assert max(answer.seconds for answer in answers) < 2 * SECONDS_MAX
    assert (await timed(alone, "GET", "/api/v1/executions")).said == (200, "")


async def test_a_session_that_idles_in_its_transaction_stops_nobody(alone: Alone) -> None:
    """It has even been given a transaction id, for which others might wait."""
    async with alone.superuser() as connection, connection.transaction():
        await connection.execute("SELECT pg_current_xact_id(), count(*) FROM log.stored_events")
        await alone.commands()


async def test_a_locked_log_refuses_with_nothing_written(alone: Alone) -> None:
    graph = await alone.caller.save(echo())
    async with alone.superuser() as connection:
        async with connection.transaction():
            await connection.execute(LOG_LOCK)
            answer = await started(alone, graph)
            assert answer.said == (503, "unavailable")
            assert "unknown" not in answer.response.json()["message"]
            assert await alone.reads()
        count = await connection.execute("SELECT FROM log.stored_events WHERE topic LIKE 'runs.%'")
        assert count.rowcount == 0
    assert (await started(alone, graph)).said == (200, "")


async def test_a_full_disk_refuses_commands_and_lets_read(tmp_path: Path) -> None:
    """What was kept before is there, and afterwards all goes on."""
    with disk(tmp_path / "disk", DISK_MEGABYTES) as small:
        async with standing_alone(tmp_path, small.path) as alone:
            await alone.commands()
            kept = [(await alone.caller.save(echo())).path]
            small.fill()
            body = {"graph": {**echo(), "description": "x" * value_limits.TEXT_CHARS_MAX}}
            while (answer := await timed(alone, "POST", "/api/v1/graphs", body)).said == (200, ""):
                kept.append(f"/api/v1/graphs/{answer.response.json()['id']}")
            assert answer.said == (503, "storage_full")
            assert await alone.reads()
            for path in kept:
                await alone.caller.read(path)
            small.clear()
            await alone.commands()
            for path in kept:
                await alone.caller.read(path)


async def test_a_read_only_database_is_read(alone: Alone) -> None:
    graph = await alone.caller.save(echo())
    run_id = await alone.caller.start(graph)
    large = {**echo(), "instructions": "x" * value_limits.TEXT_CHARS_MAX}
    async with alone.read_only():
        await eventually(alone.reads)
        for path in ("/api/v1/graphs", "/api/v1/executions", graph.path, graph.run_path(run_id)):
            await alone.caller.read(path)
        await timed(alone, "POST", "/api/v1/graphs", {"graph": large})
        answer = await timed(alone, "POST", "/api/v1/graphs", {"graph": large})
        assert answer.said == (503, "read_only")
        stop = await timed(alone, "POST", f"{graph.run_path(run_id)}/stop")
        assert stop.said == (503, "read_only")
    await eventually(alone.reads)
    await alone.commands()
