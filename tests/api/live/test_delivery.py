"""Who is told what of a run: each event once, in order, whenever one comes."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import msgspec
import pytest
from nats.aio.subscription import Subscription

from blocks.catalogue import CONTRACTS
from commands import users
from commands.runs import starts as run_commands
from domain.graphs.graph import VersionSaved
from domain.limits import worker_limits
from domain.runs import execution_id
from runtime import clock, ids, nats
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Repository
from runtime.embedded.nats import NatsServer
from runtime.eventlog import reader
from runtime.eventlog.log import EventLog
from runtime.eventlog.reader import LogEvent
from runtime.settings import Settings
from tests.support.live import (
    SECONDS_MAX,
    LiveApi,
    Peer,
    Script,
    live_api,
    relaying,
    run_to_end,
    running,
    subscribe,
    transcript,
)
from tests.support.processes import until
from workers import executor


async def hears_nothing(peer: Peer, api: LiveApi) -> None:
    await api.told()
    assert (await peer.ask("ping"))["type"] == "pong"


async def test_a_run_of_a_real_executor_is_told_from_start_to_end(
    api: LiveApi, user_id: UUID, graph: VersionSaved, repository: Repository, settings: Settings
) -> None:
    context = CommandContext(owner=str(user_id), actor=str(user_id))
    await users.get_or_create(
        repository, context, email="user@example.com", name=None, signup_credits=10
    )
    async with api.peer(user_id) as peer, running(executor.serve(settings)):
        await peer.ask("ping")
        accepted = await run_commands.start(
            repository,
            context,
            PlanCache(repository),
            graph_id=str(graph.graph.id),
            graph_version=None,
            inputs={"city": "Lyon"},
            contracts=CONTRACTS,
        )
        run_id = accepted.answer.run_id
        started, first, second, completed = [await peer.next() for _ in range(4)]
    common = {"execution_id", "timestamp", "type", "version", "position"}
    assert set(started) == common | {"graph_id", "status"}
    assert (started["type"], started["status"]) == ("execution_started", "RUNNING")
    assert started["graph_id"] == graph.graph.id
    for number, progress, pins in ((0, first, {"result": ["Lyon"]}), (1, second, OUTPUT)):
        assert set(progress) == common | {"progress"}
        assert progress["type"] == "execution_progress"
        assert progress["progress"]["node_exec_id"] == execution_id(run_id, number)
        assert progress["progress"]["status"] == "COMPLETED"
        assert progress["progress"]["output_data"] == pins
    assert set(completed) == common | {"result", "status", "omitted_outputs", "large_values"}
    assert (completed["type"], completed["status"]) == ("execution_completed", "COMPLETED")
    assert completed["result"] == {"answer": ["Lyon"]}
    for message in (started, first, second, completed):
        assert message["execution_id"] == run_id
        age = clock.now() - datetime.fromisoformat(message["timestamp"])
        assert timedelta(0) < age < timedelta(minutes=1)


OUTPUT = {"output": ["Lyon"], "name": ["answer"]}


async def test_subscribers_alone_are_told_and_without_any_all_of_the_owner(
    api: LiveApi, user_id: UUID, event_log: EventLog, graph: VersionSaved
) -> None:
    script = Script(event_log, graph, repeats=10)
    await script.go_on(1)
    async with api.peer(user_id) as first, api.peer(ids.new_id()) as stranger:
        async with api.peer(user_id) as second:
            for peer in (first, second, stranger):
                await peer.ask("ping")
            await script.go_on(1)
            for peer in (first, second):
                assert (await peer.next())["type"] == "execution_started"
            await subscribe(second, script.run_id, after_version=2)
            await script.go_on(3)
            assert [(await second.next())["version"] for _ in range(3)] == [3, 4, 5]
            await hears_nothing(first, api)
            await second.ask("unsubscribe_execution", execution_id=script.run_id)
            await script.go_on(1)
            for peer in (first, second):
                assert (await peer.next())["version"] == 6
            await subscribe(second, script.run_id, after_version=6)
        await until(lambda: api.socket_count == 2)
        await script.go_on()
        told = await run_to_end(first, script)
        assert [message["version"] for message in told] == list(range(7, script.version + 1))
        await hears_nothing(stranger, api)


async def test_late_subscribers_are_told_from_where_they_want(
    api: LiveApi, user_id: UUID, event_log: EventLog, graph: VersionSaved
) -> None:
    script = Script(event_log, graph, repeats=450)
    await script.go_on()
    calls = await script.calls()
    async with api.peer(user_id) as peer:
        for after in (0, 1, 2, 3, 200, 201, 202, 400, script.version - 1):
            await subscribe(peer, script.run_id, after_version=after)
            told = await run_to_end(peer, script)
            assert transcript(told, script.run_id) == [call for call in calls if call[1] > after]
        await subscribe(peer, script.run_id, after_version=script.version)
        await hears_nothing(peer, api)


def seeded() -> random.Random:
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    return random.Random(seed)


async def write_randomly(script: Script, rng: random.Random) -> None:
    while not script.is_over:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        await script.go_on(rng.randint(1, 6))


async def follow(peer: Peer, script: Script, rng: random.Random) -> None:
    """Subscribe at some moment from some version, and check every message up to the end."""
    wanted = rng.randint(1, script.length)
    await until(lambda: script.version >= wanted)
    after = rng.randint(0, min(script.version, script.length - 1))
    await subscribe(peer, script.run_id, after_version=after)
    told = await run_to_end(peer, script)
    assert transcript(told, script.run_id) == await script.calls(after)


async def test_nothing_is_lost_or_doubled_where_history_meets_the_present(
    api: LiveApi, user_id: UUID, event_log: EventLog, graph: VersionSaved
) -> None:
    rng = seeded()
    async with api.peer(user_id) as one, api.peer(user_id) as two, api.peer(user_id) as three:
        for _ in range(40):
            script = Script(event_log, graph, repeats=rng.randrange(40))
            async with asyncio.TaskGroup() as group:
                group.create_task(write_randomly(script, rng))
                for peer in (one, two, three):
                    group.create_task(follow(peer, script, rng))


async def test_runs_that_nobody_subscribed_to_are_told_once(
    api: LiveApi, user_id: UUID, event_log: EventLog, graph: VersionSaved
) -> None:
    rng = seeded()
    scripts = [Script(event_log, graph, repeats=rng.randrange(20)) for _ in range(15)]
    for script in scripts[:10]:
        # Nobody hears which graphs these run, so their starts must be looked up.
        await script.go_on(1)
    async with api.peer(user_id) as peer:
        await peer.ask("ping")
        async with asyncio.TaskGroup() as group:
            for script in scripts:
                group.create_task(write_randomly(script, rng))
        told = await run_to_end(peer, *scripts)
        await hears_nothing(peer, api)
    for script in scripts:
        assert transcript(told, script.run_id) == await script.calls()


async def test_an_event_that_the_feed_was_cheated_of_is_read_from_the_stream(
    settings: Settings,
    user_id: UUID,
    event_log: EventLog,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a relay and without polling, so that the test alone says what there is."""
    monkeypatch.setattr(worker_limits, "POLL_SECONDS", 3_600)
    await script.go_on(2)
    head = await event_log.read_head()
    async with live_api(settings) as api, api.peer(user_id) as peer:
        await subscribe(peer, script.run_id, after_version=2)
        say = partial(api.services.broker.publish, nats.LIVE_SUBJECT)
        lie = LogEvent(head + 1, "other", 1, "other.Happened@1", b"{}", "nobody", 0)
        await say(msgspec.msgpack.encode([lie]))
        await until(lambda: api.services.feed.position == head + 1)
        await script.go_on()
        async with event_log.pool.connection() as connection:
            truth = await reader.read_page(connection, head + 1)
        await say(msgspec.msgpack.encode(truth))
        told = await run_to_end(peer, script)
        assert transcript(told, script.run_id) == await script.calls(after=2)


async def test_while_nats_is_down_and_when_it_is_back_each_event_is_told_once(
    settings: Settings,
    user_id: UUID,
    event_log: EventLog,
    graph: VersionSaved,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    script, free = Script(event_log, graph, repeats=30), Script(event_log, graph)
    async with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        settings = msgspec.structs.replace(settings, nats_url=server.url)
        async with (
            live_api(settings) as api,
            relaying(settings),
            api.peer(user_id) as subscriber,
            api.peer(user_id) as other,
        ):
            await script.go_on(1)
            await subscribe(subscriber, script.run_id)
            await script.go_on(5)
            told = [await subscriber.next() for _ in range(5)]
            await kill(server)
            await script.go_on(10)
            await free.go_on(3)
            told += [await subscriber.next() for _ in range(12)]
            await server.start()
            await until(lambda: api.services.broker.is_heard)
            client = await nats.connect(server.url, "test")
            live = await client.subscribe(nats.LIVE_SUBJECT)
            await free.go_on()
            await script.go_on()
            await hears_of(live, await event_log.read_head())
            await client.close()
            told += await run_to_end(subscriber, script, free)
            assert transcript(told, script.run_id) == await script.calls()
            assert transcript(told, free.run_id) == await free.calls()
            told = await run_to_end(other, free)
            assert transcript(told, free.run_id) == await free.calls()
            await hears_nothing(subscriber, api)
            await hears_nothing(other, api)


async def kill(server: NatsServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()


async def hears_of(live: Subscription, position: int) -> None:
    """Wait until the relay has published this position."""
    last = 0
    while last < position:
        message = await live.next_msg(timeout=SECONDS_MAX)
        last = msgspec.msgpack.decode(message.data, type=list[LogEvent])[-1].position
