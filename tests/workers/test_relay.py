"""The relay as a process: wake_ups, wake-up calls and events, over real servers and all mishaps."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from psycopg import AsyncConnection

from domain import events
from domain.limits import nats_limits, worker_limits
from domain.runs import (
    RunCreated,
    RunPaused,
    RunResumed,
    RunStopRequested,
    RunTerminated,
    stream_of,
)
from runtime import clock, nats
from runtime.database import Row
from runtime.embedded.nats import NatsServer
from runtime.eventlog.log import EventLog, Origin, StreamWrite
from runtime.eventlog.reader import LogEvent
from runtime.nats import WakeUp
from runtime.settings import Settings
from tests.support.live import relaying
from tests.support.log import eventually, whole_stream
from tests.support.processes import until
from tests.workers.scene import SECONDS_MAX, STATS, Scene
from workers import relay

SOON = timedelta(milliseconds=300)
LATE = timedelta(seconds=1)
TELL = "INSERT INTO log.notification_tracking (application_name, notification_id) VALUES (%s, %s)"


@pytest.fixture
def settings(database_url: str, nats_server: NatsServer) -> Settings:
    return Settings(database_url=database_url, nats_url=nats_server.url, runs_per_user=3)


@asynccontextmanager
async def hearing(client: Client, subject: str) -> AsyncIterator[Subscription]:
    """All messages from now on."""
    subscription = await client.subscribe(subject)
    await client.flush()
    yield subscription
    await subscription.unsubscribe()


async def told(subscription: Subscription) -> list[int]:
    """The positions in the next batch of events."""
    message = await subscription.next_msg(timeout=SECONDS_MAX)
    batch = msgspec.msgpack.decode(message.data, type=list[LogEvent])
    return [entry.position for entry in batch]


# --- wake-ups -------------------------------------------------------------------------------------


async def test_a_new_run_is_woken_up_with_how_it_was_created(
    scene: Scene, settings: Settings
) -> None:
    async with relaying(settings):
        await scene.create("a")
        wake_up = await scene.wake_up()
    [entry] = await whole_stream(scene.log, stream_of("a"))
    assert wake_up.run_id == "a"
    assert wake_up.created is not None
    assert events.decode(events.topic_of(RunCreated), wake_up.created) == entry.event
    assert wake_up.recorded_us == round(entry.recorded_at.timestamp() * 1_000_000)
    assert wake_up.epoch == scene.log.epoch.known


async def test_a_large_creation_does_not_travel(scene: Scene, settings: Settings) -> None:
    text = "x" * worker_limits.WAKE_UP_STATE_BYTES_MAX
    async with relaying(settings):
        await scene.record("a", RunCreated("ada", "g", 1, {"text": text}, 9))
        assert await scene.wake_up() == WakeUp("a")


async def test_a_run_that_has_begun_is_woken_up_without(scene: Scene, settings: Settings) -> None:
    async with relaying(settings):
        await scene.create("a")
        await scene.woken(1)
        await scene.claim("a")
        await scene.suspend("a")
        await scene.record("a", RunPaused())
        await scene.record("a", RunResumed())
        assert await scene.wake_up() == WakeUp("a")


async def test_runs_beyond_the_limit_wait_for_those_in_hand(
    scene: Scene, settings: Settings
) -> None:
    async with relaying(settings):
        await scene.create("a", "b", "c", "d", "e")
        assert await scene.woken(3) == ["a", "b", "c"]
        await scene.create("other", user="bob")
        assert await scene.woken(1) == ["other"], "d and e are not before it"
        await scene.claim("b")
        await scene.end("b")
        assert await scene.woken(1) == ["d"]


async def test_a_suspended_run_is_woken_up_at_its_moment(scene: Scene, settings: Settings) -> None:
    async with relaying(settings):
        await scene.create("a")
        await scene.woken(1)
        await scene.claim("a")
        until = clock.now() + SOON
        await scene.suspend("a", until=until)
        assert await scene.woken(1) == ["a"]
        assert timedelta() <= clock.now() - until < LATE


async def test_a_wake_up_that_nobody_answers_is_rung_again(
    scene: Scene, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_limits, "DISPATCH_AGAIN_SECONDS", 0.1)
    async with relaying(settings):
        await scene.create("a")
        assert await scene.woken(3) == ["a", "a", "a"]


async def test_a_wake_up_that_waits_for_an_executor_is_not_sent_again(
    scene: Scene, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_limits, "DISPATCH_AGAIN_SECONDS", 0.01)
    async with relaying(settings), hearing(scene.client, nats.READY_SUBJECT) as wake_ups:
        await scene.create("later")
        assert await scene.woken(1) == ["later"]
        await scene.claim("later")
        await scene.create("a")
        await scene.suspend("later", until=clock.now() + SOON)
        heard = [nats.decode_wake_up((await wake_ups.next_msg(SECONDS_MAX)).data) for _ in range(3)]
        assert [wake_up.run_id for wake_up in heard] == ["later", "a", "later"]


async def test_a_stop_reaches_the_worker_that_has_the_run(scene: Scene, settings: Settings) -> None:
    async with relaying(settings), hearing(scene.client, nats.NUDGE_SUBJECT) as calls:
        await scene.create("a")
        assert await scene.woken(1) == ["a"]
        await scene.claim("a")
        await scene.record("a", RunStopRequested())
        assert (await calls.next_msg(timeout=SECONDS_MAX)).data == b"a"


async def test_the_end_of_a_child_reaches_the_parent(scene: Scene, settings: Settings) -> None:
    async with relaying(settings), hearing(scene.client, nats.NUDGE_SUBJECT) as calls:
        await scene.create("p")
        assert await scene.woken(1) == ["p"]
        await scene.claim("p")
        await scene.create("c1", "c2", parent="p")
        assert await scene.woken(2) == ["c1", "c2"]
        await scene.claim("c1", "c2")
        seen = await scene.end("c1", parent="p")
        assert (await calls.next_msg(timeout=SECONDS_MAX)).data == b"p"
        await scene.end("c2", parent="p")
        await scene.suspend("p", seen=seen)
        assert await scene.woken(1) == ["p"]


# --- one relay after another, and a broker that forgets ----------------------------------------


@pytest.mark.parametrize("is_projected", [True, False])
async def test_another_relay_knows_what_the_last_one_knew(
    scene: Scene, settings: Settings, *, is_projected: bool
) -> None:
    async with relaying(settings):
        await scene.create("resting", "p", "ended", "queued")
        assert await scene.woken(3) == ["resting", "p", "ended"]
        await scene.claim("resting", "p", "ended")
        await scene.end("ended")
        assert await scene.woken(1) == ["queued"]
    until = clock.now() + SOON
    await scene.suspend("resting", until=until)
    await scene.create("c", parent="p")
    await scene.end("c", parent="p")
    await scene.suspend("p", seen=3)
    if is_projected:
        await scene.project()
    async with relaying(settings):
        assert sorted(await scene.woken(2)) == ["p", "queued"]
        assert await scene.woken(1) == ["resting"]
        assert clock.now() >= until


async def test_another_relay_wakes_whoever_has_a_run_in_hand(
    scene: Scene, settings: Settings
) -> None:
    await scene.create("a")
    await scene.claim("a")
    await scene.record("a", RunStopRequested())
    await scene.project()
    async with hearing(scene.client, nats.NUDGE_SUBJECT) as calls, relaying(settings):
        assert (await calls.next_msg(timeout=SECONDS_MAX)).data == b"a"


async def test_sockets_that_are_behind_are_told_although_the_runs_are_known(
    scene: Scene, settings: Settings
) -> None:
    await scene.create("a", "b")
    await scene.claim("a")
    await scene.end("a")
    await scene.project()
    async with hearing(scene.client, nats.LIVE_SUBJECT) as live, relaying(settings):
        assert await told(live) == [1, 2, 3, 4]
        assert await scene.woken(1) == ["b"]
        await scene.create("c")
        assert await told(live) == [5]
        assert await scene.woken(1) == ["c"]


async def test_runs_that_are_not_known_are_learned_although_the_sockets_were_told(
    scene: Scene, settings: Settings
) -> None:
    await scene.create("a", "b")
    await scene.claim("a")
    await scene.connection.execute(TELL, (relay.CHECKPOINT, 2))
    async with hearing(scene.client, nats.LIVE_SUBJECT) as live, relaying(settings):
        assert await told(live) == [3]
        assert await scene.woken(1) == ["b"]
        await scene.create("c")
        assert await told(live) == [4]


async def test_runs_that_ended_long_ago_are_not_woken_up(scene: Scene, settings: Settings) -> None:
    many = [f"old {number}" for number in range(nats_limits.FEED_BATCH_EVENTS_MAX)]
    opening, ending = RunCreated("ada", "g", 1, {}, 9), RunTerminated(STATS)
    for version, event in enumerate((opening, ending)):
        writes = [StreamWrite.of(stream_of(run_id), version, [event]) for run_id in many]
        await scene.log.append(writes, Origin(owner="ada", actor="test"))
    await scene.create("new")
    async with relaying(settings):
        assert await scene.woken(1) == ["new"]


async def test_a_broker_that_forgot_everything_is_told_again(
    event_log: EventLog,
    connection: AsyncConnection[Row],
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_limits, "DISPATCH_AGAIN_SECONDS", 3_600.0)
    async with NatsServer(tmp_path) as server:
        client = await nats.connect(server.url, "test")
        await nats.ensure_stream(client)
        scene = Scene(event_log, connection, client)
        async with relaying(Settings(database_url=database_url, nats_url=server.url)):
            await scene.create("a")
            await eventually(partial(nats.waiting_wake_ups, client))
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await until(lambda: not server.alive)
            await server.start()
            scene.client = await nats.connect(server.url, "test")
            assert await scene.woken(1) == ["a"]
            await scene.client.close()


# --- a wrong clock -----------------------------------------------------------------------------


@pytest.fixture
def _own_clock_again() -> Iterator[None]:
    yield
    clock.stop_following()


@pytest.mark.usefixtures("_own_clock_again")
@pytest.mark.parametrize("offset", [timedelta(hours=1), timedelta(hours=-1)])
async def test_moments_come_by_the_databases_clock(
    scene: Scene, settings: Settings, offset: timedelta
) -> None:
    clock.follow(clock.now() + offset, clock.monotonic())
    async with relaying(settings):
        await scene.create("a")
        await scene.woken(1)
        await scene.claim("a")
        until = await database_now(scene) + SOON
        await scene.suspend("a", until=until)
        assert await scene.woken(1) == ["a"]
        assert timedelta() <= await database_now(scene) - until < LATE


async def database_now(scene: Scene) -> datetime:
    row = await (await scene.connection.execute("SELECT clock_timestamp()")).fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment
