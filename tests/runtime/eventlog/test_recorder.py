"""The library's promises, kept by our recorder; and the library itself on our log."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from eventsourcing.application import LocalNotificationLog
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.cryptography import AESCipher
from eventsourcing.persistence import (
    EventStore,
    IntegrityError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from eventsourcing.postgres import (
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresTrackingRecorder,
)
from eventsourcing.utils import Environment

from domain.events import UnknownEventType
from projections.runner import Runner
from runtime import database, ids
from runtime.eventlog.log import EventLog
from runtime.eventlog.mapper import MsgspecMapper, RecordedEvent
from runtime.eventlog.recorder import GroupCommitRecorder
from tests.support import stock_library
from tests.support.log import append, check, granted
from tests.support.processes import until
from tests.support.stock_library import contract


class OnOurRecorder:
    """Gives the library's test classes a recorder on a database of its own."""

    recorder: GroupCommitRecorder

    @pytest.fixture(autouse=True)
    def _recorder(self, database_url: str, superuser_url: str) -> Iterator[None]:
        with stock_library.datastore(superuser_url) as store:
            self.recorder = GroupCommitRecorder(store, database_url=database_url)
            yield
            self.recorder.close()

    def create_recorder(self) -> GroupCommitRecorder:
        return self.recorder

    def new_originator_id(self) -> UUID | str:
        return f"stream-{ids.new_id()}"


class TestApplicationRecorder(
    OnOurRecorder, contract.ApplicationRecorderTestCase[GroupCommitRecorder]
):
    pass


class TestNonInterleavingNotificationIds(
    OnOurRecorder, contract.NonInterleavingNotificationIDsBaseCase
):
    pass


class TestTrackingRecorder(contract.TrackingRecorderTestCase):
    store: PostgresDatastore

    @pytest.fixture(autouse=True)
    def _store(self, superuser_url: str) -> Iterator[None]:
        with stock_library.datastore(superuser_url) as self.store:
            yield

    def create_recorder(self) -> PostgresTrackingRecorder:
        recorder = PostgresTrackingRecorder(self.store)
        recorder.create_table()
        return recorder


def stored(version: int, stream: str = "a") -> StoredEvent:
    return StoredEvent(stream, version, "topic", b"{}")


@pytest.fixture
def recorder(database_url: str, superuser_url: str) -> Iterator[GroupCommitRecorder]:
    with stock_library.datastore(superuser_url) as store:
        ours = GroupCommitRecorder(store, database_url=database_url)
        yield ours
        ours.close()


def test_what_does_not_fit_together_is_an_integrity_error(recorder: GroupCommitRecorder) -> None:
    assert recorder.insert_events([]) == []
    for misfits in ([stored(1), stored(1)], [stored(1), stored(3)], [stored(2), stored(1)]):
        with pytest.raises(IntegrityError):
            recorder.insert_events(misfits)
    assert recorder.insert_events([stored(1), stored(1, "b"), stored(2)]) == [1, 2, 3]
    with pytest.raises(IntegrityError):
        recorder.insert_events([stored(3), stored(2, "b"), stored(1)])
    notifications = recorder.select_notifications(start=1, limit=9)
    assert [(n.id, n.originator_id, n.originator_version) for n in notifications] == [
        (1, "a", 1),
        (2, "b", 1),
        (3, "a", 2),
    ]


@pytest.fixture
def stock(superuser_url: str) -> Iterator[PostgresApplicationRecorder]:
    """The library's own recorder, exactly as it comes."""
    with stock_library.datastore(superuser_url) as store:
        yield PostgresApplicationRecorder(store)


async def test_the_stock_library_reads_and_replays(
    event_log: EventLog, stock: PostgresApplicationRecorder
) -> None:
    events = [granted(number) for number in range(1, 6)]
    await append(event_log, "credits-a", 0, *events[:3])
    await append(event_log, "credits-b", 0, *events[3:])
    mapper = MsgspecMapper()
    notifications = stock.select_notifications(start=1, limit=99)
    assert [notification.id for notification in notifications] == [1, 2, 3, 4, 5]
    assert [mapper.to_domain_event(notification).event for notification in notifications] == events
    assert stock.max_notification_id() == 5
    replayed = list(EventStore(mapper, stock).get("credits-a", gt=1))
    assert replayed == [
        RecordedEvent("credits-a", 2, events[1]),
        RecordedEvent("credits-a", 3, events[2]),
    ]
    section = LocalNotificationLog(stock, section_size=10)["1,10"]
    assert [notification.originator_version for notification in section.items] == [1, 2, 3, 1, 2]


async def test_the_stock_library_tracks_beside_our_projections(
    event_log: EventLog, database_url: str, superuser_url: str
) -> None:
    with stock_library.datastore(superuser_url) as store:
        recorder = PostgresTrackingRecorder(store)
        recorder.create_table()
        recorder.insert_tracking(Tracking("theirs", 7))
        with pytest.raises(IntegrityError):
            recorder.insert_tracking(Tracking("theirs", 7))
        assert recorder.max_tracking_id("theirs") == 7
        async with await database.connect(database_url, "test") as connection:
            await Runner(connection, []).open()
            cursor = await connection.execute(
                "SELECT application_name, notification_id FROM log.notification_tracking ORDER BY 1"
            )
            assert await cursor.fetchall() == [("__migration__", 1), ("theirs", 7)]


async def test_the_stock_library_hears_of_new_events(
    event_log: EventLog, stock: PostgresApplicationRecorder
) -> None:
    def is_listening() -> bool:
        with stock.datastore.cursor() as cursor:
            cursor.execute(
                "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                " AND datname = current_database()"
            )
            return cursor.rowcount == 1

    with stock.subscribe(gt=0) as subscription:
        await until(is_listening)
        await append(event_log, "a", 0)
        assert next(subscription).id == 1


async def test_a_stock_writer_cannot_corrupt_positions(
    event_log: EventLog, stock: PostgresApplicationRecorder
) -> None:
    await append(event_log, "a", 0)
    with pytest.raises(ProgrammingError):
        stock.insert_events([stored(2)])
    # Even as the superuser, who may create what the recorder misses, it gives no positions.
    stock.create_table()
    with pytest.raises(IntegrityError):
        stock.insert_events([stored(2)])
    stock.datastore.enable_db_functions = True
    with pytest.raises(IntegrityError):
        stock.insert_events([stored(2)])
    await append(event_log, "a", 1)
    async with event_log.pool.connection() as connection:
        assert await check(connection) == [("a", 1), ("a", 2)]


def test_the_mapper_compresses_and_encrypts_as_the_library_does() -> None:
    env = Environment("", {AESCipher.CIPHER_KEY: AESCipher.create_key(32)})
    mapper = MsgspecMapper(compressor=ZlibCompressor(), cipher=AESCipher(env))
    recorded = RecordedEvent("credits-a", 1, granted(5, reason="secret " * 99))
    row = mapper.to_stored_event(recorded)
    assert b"secret" not in row.state
    assert len(row.state) < 200
    assert row.topic == "credits.CreditsGranted@1"
    assert mapper.to_domain_event(row) == recorded
    with pytest.raises(UnknownEventType):
        MsgspecMapper().to_domain_event(StoredEvent("a", 1, "os.path@1", b"{}"))
