"""Wake-ups on their way to executors: by NATS or the database, to each what it has room for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from nats.aio.client import Client
from psycopg import AsyncConnection

from domain.limits import worker_limits
from runtime import nats
from runtime.broker import Broker
from runtime.database import Row
from runtime.embedded.nats import NatsServer
from runtime.nats import WakeUp
from runtime.settings import Settings
from tests.support.log import eventually
from tests.support.processes import until
from tests.workers.scene import SECONDS_MAX, Scene
from workers import wake_ups
from workers.executor.wake_ups import WakeUps

COUNT = "SELECT count(*) FROM work.wake_ups"
AGE = "UPDATE work.wake_ups SET sent_at = sent_at - make_interval(secs => %s)"
WAITING = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'work.wake_ups'::regclass"
NOWHERE = "nats://127.0.0.1:1"


@asynccontextmanager
async def executor(scene: Scene, url: str) -> AsyncIterator[WakeUps]:
    taking = WakeUps(Settings(nats_url=url), scene.log, lambda _: None)
    await taking.open()
    try:
        yield taking
    finally:
        await taking.close()


async def is_waited_for(scene: Scene) -> bool:
    """Whether somebody waits for the table of wake-ups."""
    async with scene.log.pool.connection() as connection:
        return await (await connection.execute(WAITING)).fetchone() is not None


async def taken(taking: WakeUps, room: int) -> list[str]:
    """The runs that an executor takes until it has no more room."""
    runs = []
    async with asyncio.timeout(SECONDS_MAX):
        for left in range(room, 0, -1):
            woken = await taking.take(left)
            runs.append(woken.run_id)
    return runs


async def test_who_has_no_room_left_leaves_the_others_to_others(
    scene: Scene, broker: Broker, nats_server: NatsServer
) -> None:
    runs = [f"run {number}" for number in range(24)]
    await wake_ups.send(broker, scene.connection, [WakeUp(run_id) for run_id in runs])
    async with executor(scene, nats_server.url) as one, executor(scene, nats_server.url) as other:
        first = [(await one.take(8)).run_id]
        # What has come is not asked for any more, and takes up room all the same.
        await until(lambda: len(one._delivered) == 7)
        first += await taken(one, 7)
        assert sorted([*first, *await taken(other, 16)]) == sorted(runs)


async def test_they_share_what_is_in_the_database(scene: Scene) -> None:
    runs = [f"run {number}" for number in range(24)]
    await wake_ups.put(scene.connection, runs)
    async with executor(scene, NOWHERE) as one, executor(scene, NOWHERE) as other:
        both = await asyncio.gather(taken(one, 8), taken(other, 16))
    assert sorted([*both[0], *both[1]]) == sorted(runs)


async def test_nats_that_is_heard_while_the_database_is_looked_into_is_asked_at_once(
    scene: Scene, broker: Broker, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_limits, "POLL_SECONDS", 60.0)
    await wake_ups.send(broker, scene.connection, [WakeUp("a")])
    async with scene.connection.transaction():
        await scene.connection.execute("LOCK work.wake_ups")
        taking = WakeUps(Settings(nats_url=nats_server.url), scene.log, lambda _: None)
        taken = asyncio.create_task(taking.take(8))
        await eventually(partial(is_waited_for, scene))
        await taking.open()
        await until(lambda: taking._broker.is_heard)
    async with asyncio.timeout(SECONDS_MAX):
        assert (await taken).run_id == "a"
    await taking.close()


async def test_while_nats_is_heard_the_database_is_left_alone(
    scene: Scene, broker: Broker, client: Client
) -> None:
    await wake_ups.send(broker, scene.connection, [WakeUp("a", b"created")])
    assert await count(scene.connection) == 0
    assert await scene.wake_up() == WakeUp("a", b"created")
    assert await nats.waiting_wake_ups(client) == 0


async def test_without_nats_each_run_is_in_the_database_once_and_not_for_ever(scene: Scene) -> None:
    deaf = Broker(Settings(nats_url=NOWHERE), "test")
    for _ in range(2):
        await wake_ups.send(
            deaf, scene.connection, [WakeUp("a", b"created"), WakeUp("a"), WakeUp("b")]
        )
    assert await count(scene.connection) == 2
    await scene.connection.execute(AGE, (worker_limits.WAKE_UP_STALE_SECONDS,))
    await wake_ups.send(deaf, scene.connection, [WakeUp("c")])
    assert await wake_ups.take(scene.connection, 10) == ["c"]


async def test_what_a_wake_up_of_another_log_says_of_a_run_is_not_believed(
    scene: Scene, broker: Broker, nats_server: NatsServer
) -> None:
    known = scene.log.epoch.known
    woken = [
        WakeUp("a", b"then", epoch="another"),
        WakeUp("b", b"now", epoch=known),
        WakeUp("c", b"then"),
    ]
    await wake_ups.send(broker, scene.connection, woken)
    async with executor(scene, nats_server.url) as one, asyncio.timeout(SECONDS_MAX):
        heard = [await one.take(room) for room in (3, 2, 1)]
    told = {one.run_id: one.take_created() for one in heard}
    assert told == {"a": None, "b": b"now", "c": None}


async def count(connection: AsyncConnection[Row]) -> int:
    row = await (await connection.execute(COUNT)).fetchone()
    assert row is not None
    return int(row[0])
