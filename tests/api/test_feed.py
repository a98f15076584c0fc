"""The feed hands on every run event, in order and once, whatever NATS does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
from psycopg import AsyncConnection

from api.feed import Feed
from domain import runs
from domain.credits import CreditsGranted
from domain.events import topic_of
from domain.limits import worker_limits
from domain.runs import RunFailed
from projections.projection import Recorded
from runtime import ids, nats
from runtime.aggregates.repository import Repository
from runtime.broker import Broker
from runtime.embedded.nats import NatsServer
from runtime.eventlog import reader
from runtime.eventlog.log import EventLog, Origin, StreamWrite, opened
from runtime.eventlog.mapper import Encoded
from runtime.eventlog.reader import LogEvent
from runtime.settings import Settings
from tests.support.brokers import hearing
from tests.support.live import SECONDS_MAX, Script, relaying, saved_graph
from tests.support.processes import until

FEED = "feed"
"""The application name of the feed's connections."""


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.heard: list[Recorded] = []

    def __call__(self, recorded: Recorded) -> None:
        self.heard.append(recorded)

    @property
    def positions(self) -> list[int]:
        return [recorded.position for recorded in self.heard]

    async def hears_up_to(self, position: int) -> None:
        await until(lambda: self.positions[-1:] == [position], seconds=SECONDS_MAX)


@pytest.fixture
async def feed(database_url: str) -> AsyncIterator[Feed]:
    async with opened(database_url, FEED) as log:
        feed = Feed(log)
        await feed.open()
        yield feed
        await feed.close()


@pytest.fixture
async def broker(nats_server: NatsServer) -> AsyncIterator[Broker]:
    async with hearing(nats_server.url) as broker:
        yield broker


@pytest.fixture
async def script(event_log: EventLog, repository: Repository) -> Script:
    """Its graph is event 1 of the log, its own begin at 2."""
    return Script(event_log, await saved_graph(repository, ids.new_id()), repeats=20)


@pytest.fixture
def only_nats(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is heard did not come by polling."""
    monkeypatch.setattr(worker_limits, "POLL_SECONDS", 3_600)


async def entries(log: EventLog) -> list[LogEvent]:
    """The log from position 2 on."""
    async with log.pool.connection() as connection:
        return await reader.read_page(connection, 1)


async def publish(broker: Broker, *batches: Sequence[LogEvent]) -> None:
    for batch in batches:
        await broker.publish(nats.LIVE_SUBJECT, msgspec.msgpack.encode(batch))


async def test_the_relay_brings_every_event_in_order(
    feed: Feed, broker: Broker, script: Script, nats_server: NatsServer, database_url: str
) -> None:
    await feed.attach(broker)
    ear = Ear()
    leave = await feed.subscribe(script.owner, ear)
    settings = Settings(database_url=database_url, nats_url=nats_server.url)
    async with relaying(settings):
        while not script.is_over:
            await script.go_on(3)
        await ear.hears_up_to(1 + script.version)
    assert [recorded.version for recorded in ear.heard] == list(range(1, 1 + script.version))
    assert ear.positions == list(range(2, 2 + script.version))
    leave()


@pytest.mark.usefixtures("only_nats")
async def test_late_and_doubled_batches_change_nothing(
    feed: Feed, broker: Broker, script: Script, event_log: EventLog, repository: Repository
) -> None:
    """Among the events of somebody who does not listen."""
    stranger = Script(event_log, await saved_graph(repository, ids.new_id()), repeats=20)
    await feed.attach(broker)
    ear = Ear()
    await feed.subscribe(script.owner, ear)
    for _ in range(6):
        await script.go_on(1)
        await stranger.go_on(1)
    log = (await entries(event_log))[1:]
    await publish(broker, log[:4], log[:4], log[1:3], log[2:8], log[5:9], log[9:], log, log[::-1])
    await script.go_on(1)
    await publish(broker, (await entries(event_log))[-1:])
    await ear.hears_up_to(15)
    assert ear.positions == [3, 5, 7, 9, 11, 13, 15]


@pytest.mark.usefixtures("only_nats")
async def test_a_gap_is_read_from_the_log(
    feed: Feed, broker: Broker, script: Script, event_log: EventLog
) -> None:
    await feed.attach(broker)
    ear = Ear()
    await feed.subscribe(script.owner, ear)
    await script.go_on(12)
    log = await entries(event_log)
    await publish(broker, log[:2], log[10:])
    await ear.hears_up_to(13)
    assert ear.positions == list(range(2, 14))


@pytest.mark.usefixtures("only_nats")
async def test_a_state_that_is_missing_or_damaged_is_read_from_the_log(
    feed: Feed, broker: Broker, script: Script, event_log: EventLog
) -> None:
    await feed.attach(broker)
    ear = Ear()
    await feed.subscribe(script.owner, ear)
    await script.go_on(4)
    log = await entries(event_log)
    emptied = msgspec.structs.replace(log[1], state=b"")
    damaged = msgspec.structs.replace(log[2], state=b'{"execution":')
    await publish(broker, [log[0], emptied, damaged, log[3]])
    await ear.hears_up_to(5)
    assert [recorded.event for recorded in ear.heard] == [entry.decode() for entry in log]


BOMB = b"\x91" * 100_000 + b"\x90"
MALFORMED = (
    b"",
    b"\xc1",
    b"\x00",
    msgspec.msgpack.encode("text"),
    msgspec.msgpack.encode([1, 2]),
    msgspec.msgpack.encode([{"position": 2}]),
    msgspec.msgpack.encode([{"position": "2", "stream": None}]),
    msgspec.msgpack.encode([]),
    BOMB,
    b"\x91\x81\xa5bombs" + BOMB,
)


@pytest.mark.usefixtures("only_nats")
async def test_malformed_messages_are_passed_over(
    feed: Feed, broker: Broker, script: Script, event_log: EventLog
) -> None:
    await feed.attach(broker)
    ear = Ear()
    await feed.subscribe(script.owner, ear)
    await script.go_on(4)
    log = await entries(event_log)
    for message in MALFORMED:
        await broker.publish(nats.LIVE_SUBJECT, message)
    await publish(broker, [log[0], log[3], log[1]], log)
    await ear.hears_up_to(5)
    assert ear.positions == [2, 3, 4, 5]


async def test_without_nats_the_log_is_polled(feed: Feed, script: Script) -> None:
    ear = Ear()
    await feed.subscribe(script.owner, ear)
    await script.go_on(5)
    await ear.hears_up_to(6)
    await script.go_on(5)
    await ear.hears_up_to(11)
    assert ear.positions == list(range(2, 12))


async def test_positions_that_the_log_does_not_have_are_taken_back(
    feed: Feed, broker: Broker, script: Script, event_log: EventLog
) -> None:
    await feed.attach(broker)
    ear = Ear()
    await feed.subscribe(script.owner, ear)
    await script.go_on(1)
    await ear.hears_up_to(2)
    (real,) = await entries(event_log)
    await publish(broker, [msgspec.structs.replace(real, position=3)])
    await ear.hears_up_to(3)
    await until(lambda: feed.position == 2, seconds=SECONDS_MAX)
    await script.go_on(2)
    await ear.hears_up_to(4)
    assert ear.positions == [2, 3, 3, 4]


async def test_only_the_owner_hears_and_only_of_runs(
    feed: Feed, script: Script, event_log: EventLog
) -> None:
    owner, stranger = Ear(), Ear()
    await feed.subscribe(script.owner, owner)
    await feed.subscribe(str(ids.new_id()), stranger)
    granted = StreamWrite.of("credits-test", 0, [CreditsGranted(amount=5, reason="test")])
    await event_log.append([granted], Origin(owner=script.owner, actor="test"))
    await script.go_on(2)
    await owner.hears_up_to(4)
    assert owner.positions == [3, 4]
    assert stranger.heard == []


async def test_who_comes_later_hears_what_comes_later(feed: Feed, script: Script) -> None:
    await script.go_on(2)
    assert feed.position is None
    first, second = Ear(), Ear()
    leave_first = await feed.subscribe(script.owner, first)
    assert feed.position == 3
    await script.go_on(1)
    await first.hears_up_to(4)
    leave_second = await feed.subscribe(script.owner, second)
    leave_first()
    await script.go_on(1)
    await second.hears_up_to(5)
    leave_second()
    assert feed.position is None
    assert first.positions == [4]
    assert second.positions == [5]


async def test_a_listener_that_fails_harms_nobody(feed: Feed, script: Script) -> None:
    def fail(_: Recorded) -> None:
        raise ValueError("a listener failed")

    ear = Ear()
    await feed.subscribe(script.owner, fail)
    await feed.subscribe(script.owner, ear)
    await script.go_on(3)
    await ear.hears_up_to(4)
    assert ear.positions == [2, 3, 4]


async def test_an_event_that_cannot_be_read_is_passed_over(
    feed: Feed, script: Script, event_log: EventLog
) -> None:
    ear = Ear()
    await feed.subscribe(script.owner, ear)
    unreadable = Encoded(topic=topic_of(RunFailed), state=b'{"error": 5}')
    write = StreamWrite(stream=runs.stream_of("damaged"), expected=0, events=[unreadable])
    await event_log.append([write], Origin(owner=script.owner, actor="test"))
    await script.go_on(1)
    await ear.hears_up_to(3)
    assert ear.positions == [3]


async def test_a_database_that_went_away_is_asked_again(
    feed: Feed, script: Script, superuser_url: str
) -> None:
    ear = Ear()
    await feed.subscribe(script.owner, ear)
    await script.go_on(1)
    await ear.hears_up_to(2)
    async with await AsyncConnection.connect(superuser_url, autocommit=True) as administrator:
        await administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            (f"evergraph {FEED}",),
        )
    await script.go_on(3)
    await ear.hears_up_to(5)
    assert ear.positions == [2, 3, 4, 5]
