"""Where one way of being told of a run ends and another begins: nothing twice, nothing out of
order, nothing of a subscription before it is confirmed.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain.graphs.graph import VersionSaved
from domain.limits import database_limits, worker_limits
from runtime import nats
from runtime.eventlog import reader
from runtime.eventlog.log import EventLog
from runtime.settings import Settings
from tests.api.live.test_delivery import seeded, write_randomly
from tests.support.live import LiveApi, Peer, Script, live_api, run_to_end, subscribe, transcript

Call = tuple[str, int, int]
Message = dict[str, Any]

RUNS = 6
ROUNDS = 6


@asynccontextmanager
async def without_database_connections(api: LiveApi) -> AsyncIterator[None]:
    """In this block whatever the API asks the database has to wait."""
    async with AsyncExitStack() as stack:
        for _ in range(database_limits.DATABASE_POOL_CONNECTIONS_MAX):
            await stack.enter_async_context(api.services.log.pool.connection())
        yield


async def position_reached(api: LiveApi, event_log: EventLog) -> None:
    """Wait until the feed has passed on all that the log has now."""
    head = await event_log.read_head()
    async with asyncio.timeout(database_limits.DATABASE_LOCK_SECONDS_MAX):
        while (api.services.feed.position or 0) < head:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("is_subscribed", [False, True])
async def test_nothing_is_told_between_the_request_and_its_confirmation(
    api: LiveApi, user_id: UUID, event_log: EventLog, script: Script, *, is_subscribed: bool
) -> None:
    """Also of a run that the socket is told of already, as one of the user's or on request."""
    script = await long(script)
    async with api.peer(user_id) as peer:
        await peer.ask("ping")
        if is_subscribed:
            await subscribe(peer, script.run_id, after_version=2)
        await script.go_on(2)
        for version in (3, 4):
            assert (await peer.next())["version"] == version
        async with without_database_connections(api):
            await peer.say("subscribe_execution", execution_id=script.run_id, after_version=3)
            await read_by_the_api(api)
            await script.go_on(3)
            await position_reached(api, event_log)
        assert (await peer.next())["type"] == "subscription_confirmed"
        await script.go_on()
        told = await run_to_end(peer, script)
        assert transcript(told, script.run_id) == await script.calls(after=3)


async def test_what_was_held_back_for_a_request_that_is_refused_is_told(
    api: LiveApi, user_id: UUID, event_log: EventLog, script: Script
) -> None:
    script = await long(script)
    async with api.peer(user_id) as peer:
        await peer.ask("ping")
        async with without_database_connections(api):
            await peer.say("subscribe_execution", execution_id=script.run_id, after_version=999)
            await read_by_the_api(api)
            await script.go_on(3)
            await position_reached(api, event_log)
        assert (await peer.next())["type"] == "error"
        await script.go_on()
        told = await run_to_end(peer, script)
        assert transcript(told, script.run_id) == await script.calls(after=2)


async def long(script: Script) -> Script:
    """The script, begun."""
    await script.go_on(2)
    return script


async def read_by_the_api(api: LiveApi) -> None:
    """Wait until the request waits for the database."""
    async with asyncio.timeout(database_limits.DATABASE_LOCK_SECONDS_MAX):
        while not api.services.log.pool.get_stats()["requests_waiting"]:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.fixture
def script(event_log: EventLog, graph: VersionSaved) -> Script:
    return Script(event_log, graph, repeats=20)


@pytest.mark.parametrize("after", [0, 9])
async def test_live_events_that_come_late_repeat_nothing_of_an_ended_subscription(
    settings: Settings,
    user_id: UUID,
    event_log: EventLog,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    *,
    after: int,
) -> None:
    """The history is ahead of them. Without a relay and polling the test alone says what comes."""
    monkeypatch.setattr(worker_limits, "POLL_SECONDS", 3_600)
    head = await event_log.read_head()
    async with live_api(settings) as api, api.peer(user_id) as peer:
        await peer.ask("ping")
        await script.go_on(9)
        await subscribe(peer, script.run_id, after_version=after)
        told = [await peer.next() for _ in await script.calls(after)]
        for _ in range(2):
            done = await peer.ask("unsubscribe_execution", execution_id=script.run_id)
            assert done["type"] == "unsubscription_confirmed"
        await script.go_on()
        async with event_log.pool.connection() as connection:
            late = await reader.read_page(connection, head)
        publish = partial(api.services.broker.publish, nats.LIVE_SUBJECT)
        await publish(msgspec.msgpack.encode(late))
        told += await run_to_end(peer, script)
        assert transcript(told, script.run_id) == await script.calls(after)
        await hears_nothing_more(api, peer, user_id)


async def hears_nothing_more(api: LiveApi, peer: Peer, user_id: UUID) -> None:
    """And nothing is remembered of what came to its end."""
    assert (await peer.ask("ping"))["type"] == "pong"
    subscribers = api._app.state.subscriber_registry._by_user[str(user_id)]
    assert all(not member._tracks for member in subscribers._members)


async def test_whoever_ends_what_was_not_begun_loses_nothing(
    api: LiveApi, user_id: UUID, event_log: EventLog, script: Script
) -> None:
    """The end of a run is looked up before it is told."""
    async with api.peer(user_id) as peer:
        await peer.ask("ping")
        await script.go_on(script.length - 1)
        told = [await peer.next() for _ in await script.calls()]
        async with without_database_connections(api):
            await script.go_on()
            await position_reached(api, event_log)
            await peer.say("unsubscribe_execution", execution_id=script.run_id)
            confirmed = await peer.next()
            assert confirmed["type"] == "unsubscription_confirmed"
        told += await run_to_end(peer, script)
        assert transcript(told, script.run_id) == await script.calls()


class Listener:
    """Reads a socket that changes its mind all the time.

    Of each run the messages are cut where a subscription is confirmed or has ended: within a
    piece the stream is told without a gap, and a piece goes on after the one before it unless a
    subscription asked for something else.
    """

    def __init__(self, peer: Peer, rng: random.Random) -> None:
        self._peer = peer
        self._rng = rng
        self._asked: defaultdict[str, deque[int]] = defaultdict(deque)
        self.pieces: defaultdict[str, list[tuple[int | None, list[Call]]]] = defaultdict(list)
        """With the version after which each subscription began; None where one ended."""
        self.seen: defaultdict[str, int] = defaultdict(int)

    async def change_its_mind(self, run_id: str) -> None:
        if self._rng.random() < 0.4:
            await self._peer.say("unsubscribe_execution", execution_id=run_id)
            return
        after = self._rng.choice([0, self.seen[run_id], self._rng.randint(0, self.seen[run_id])])
        self._asked[run_id].append(after)
        await self._peer.say("subscribe_execution", execution_id=run_id, after_version=after)

    async def begin_again(self, run_id: str) -> None:
        """Subscribe to the whole run."""
        self._asked[run_id].append(0)
        await self._peer.say("subscribe_execution", execution_id=run_id)

    async def read_up_to_pong(self) -> None:
        while (message := await self._peer.next())["type"] != "pong":
            self._take(message)

    def _take(self, message: Message) -> None:
        run_id = message["execution_id"]
        match message["type"]:
            case "subscription_confirmed":
                self.pieces[run_id].append((self._asked[run_id].popleft(), []))
            case "unsubscription_confirmed":
                self.pieces[run_id].append((None, []))
            case kind:
                if not self.pieces[run_id]:
                    self.pieces[run_id].append((0, []))
                version = message["version"]
                self.seen[run_id] = max(self.seen[run_id], version)
                self.pieces[run_id][-1][1].append((kind, version, message["position"]))

    def check(self, run_id: str, calls: Sequence[Call]) -> None:
        last = 0
        for after, told in self.pieces[run_id]:
            if after is not None:
                last = after
            elif told:
                # Behind the end of a subscription the rest of what it was to tell is left out.
                assert told[0][1] > last, (run_id, told[0], last)
                last = told[0][1] - 1
            if told:
                expected = [call for call in calls if last < call[1] <= told[-1][1]]
                assert told == expected, (run_id, after)
                last = told[-1][1]

    def has_all(self, run_id: str, calls: Sequence[Call]) -> bool:
        """Whether the last piece is told up to the end of the run."""
        told = self.pieces[run_id][-1][1]
        return bool(told) and told[-1] == calls[-1]


@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_whoever_changes_his_mind_is_told_each_event_once_and_in_order(
    api: LiveApi, user_id: UUID, event_log: EventLog, graph: VersionSaved, round_: int
) -> None:
    rng = seeded()
    scripts = [Script(event_log, graph, repeats=rng.randrange(20, 120)) for _ in range(RUNS)]
    async with api.peer(user_id) as peer:
        await peer.ask("ping")
        listener = Listener(peer, rng)
        for script in scripts:
            await script.go_on(1)

        async def ask() -> None:
            while not all(script.is_over for script in scripts):
                await listener.change_its_mind(rng.choice(scripts).run_id)
                for _ in range(rng.randrange(6)):
                    await asyncio.sleep(0)
                if rng.random() < 0.2:
                    await peer.say("ping")
                    await listener.read_up_to_pong()

        async with asyncio.TaskGroup() as group:
            for script in scripts:
                group.create_task(write_randomly(script, rng))
            group.create_task(ask())
        await api.told()
        for script in scripts:
            await listener.begin_again(script.run_id)
        await peer.say("ping")
        await listener.read_up_to_pong()
        while not all([listener.has_all(s.run_id, await s.calls()) for s in scripts]):
            await peer.say("ping")
            await listener.read_up_to_pong()
    for script in scripts:
        listener.check(script.run_id, await script.calls())
