"""Runs that their own executor has lost sight of: it finds them, and nobody else would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_network

import pytest
from psycopg import AsyncConnection

from blocks.web import SendWebRequest
from domain.limits import worker_limits
from domain.runs import RunClaimed, RunStats, RunSuspended, stream_of
from runtime.database import Row
from runtime.embedded.nats import NatsServer
from runtime.eventlog.log import EventLog, StreamWrite
from runtime.nats import WakeUp
from runtime.settings import Settings
from tests.projections.support import bring_up_to_date
from tests.support.effects import effects
from tests.support.graphs import node
from tests.workers.executor.test_run_writer import OTHER, claimed, created
from workers.executor.executor import Executor
from workers.executor.strays import Strays
from workers.executor.wake_ups import ReceivedWakeUp

SECONDS_MAX = 20.0


@pytest.fixture
async def executor(
    database_url: str, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Executor]:
    """One in this process, which looks for strays all the time."""
    monkeypatch.setattr(worker_limits, "STRAYS_SECONDS", 0.0)
    monkeypatch.setattr(worker_limits, "POLL_SECONDS", 0.05)
    settings = Settings(
        database_url=database_url,
        nats_url=nats_server.url,
        egress_allow=(ip_network("127.0.0.0/8"),),
    )
    one = Executor(settings)
    serving = asyncio.create_task(one.serve())
    yield one
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


async def count(event_log: EventLog, run_id: str, topic: str) -> int:
    async with event_log.pool.connection() as connection:
        query = "SELECT count(*) FROM log.stored_events WHERE originator_id = %s AND topic = %s"
        found = await (await connection.execute(query, (stream_of(run_id), topic))).fetchone()
    assert found is not None
    return int(found[0])


async def test_a_run_whose_driver_was_cancelled_by_a_stranger_is_taken_up_again(
    event_log: EventLog, connection: AsyncConnection[Row], executor: Executor
) -> None:
    async with effects() as service:
        with service.held():
            body = {"number": 1}
            run = await created(event_log, node("a", SendWebRequest, url=service.url, body=body))
            await executor._take(ReceivedWakeUp(WakeUp(run.run_id)))
            await service.asked(1)
            driver = executor._driving[run.run_id]
            driver.cancel()
            await asyncio.wait([driver])
            await bring_up_to_date(connection)
            await eventually(event_log, run.run_id, "runs.RunClaimed@1", 2)
        await eventually(event_log, run.run_id, "runs.RunCompleted@1", 1)
        assert await count(event_log, run.run_id, "runs.NodeFailed@1") == 0


async def eventually(event_log: EventLog, run_id: str, topic: str, times: int) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while await count(event_log, run_id, topic) < times:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@pytest.fixture
def strays(event_log: EventLog, monkeypatch: pytest.MonkeyPatch) -> Strays:
    """Those of the worker that `claimed` makes."""
    monkeypatch.setattr(worker_limits, "STRAYS_SECONDS", 0.0)
    return Strays(event_log, "w/1")


async def test_two_looks_decide(
    event_log: EventLog, connection: AsyncConnection[Row], strays: Strays
) -> None:
    run, _ = await claimed(event_log)
    other = await created(event_log)
    claim = StreamWrite.of(stream_of(other.run_id), 1, [RunClaimed("w/2")])
    await event_log.append([claim], OTHER)
    await bring_up_to_date(connection)
    assert await strays.find([run.run_id]) == []
    assert await strays.find([]) == []
    assert await strays.find([run.run_id]) == []
    assert await strays.find([]) == []
    assert await strays.find([]) == [run.run_id]


async def test_what_was_let_go_of_is_none_although_the_read_model_is_behind(
    event_log: EventLog, connection: AsyncConnection[Row], strays: Strays
) -> None:
    run, _ = await claimed(event_log)
    await bring_up_to_date(connection)
    rest = StreamWrite.of(stream_of(run.run_id), 2, [RunSuspended(RunStats())])
    await event_log.append([rest], OTHER)
    assert await strays.find([]) == []
    assert await strays.find([]) == []
