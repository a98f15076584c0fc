"""The relay: passes the log on to NATS, in order.

Runs that want a worker are woken up, as the dispatcher shares the workers out, and every event
goes out to the processes that hold sockets. How far that has come is saved now and then, so after
a crash some of it is said twice, as it is when a relay that hung wakes up beside its successor;
whoever listens goes by positions and ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import structlog

from domain.limits import nats_limits, worker_limits
from runtime import clock, database, failpoints, nats, sql
from runtime.broker import Broker
from runtime.embedded.postgres import database_url
from runtime.eventlog import reader
from runtime.eventlog.log_listener import LogListener
from runtime.eventlog.reader import LogEvent
from runtime.process import stop_if_cancelled
from runtime.settings import Settings
from workers.dispatcher.publisher import WakeUpPublisher
from workers.leader import Deposed, Term, lead

log = structlog.get_logger()

CHECKPOINT = "relay"
LOAD = sql.load(__file__, "load_relay_checkpoint")
SAVE = sql.load(__file__, "save_relay_checkpoint")
SAVE_SECONDS = 1.0

_encode = msgspec.msgpack.Encoder().encode


class Relay:
    """One reader of the log for two who listen: the sockets and the publisher, each from where it
    stands.
    """

    def __init__(self, term: Term, broker: Broker, publisher: WakeUpPublisher) -> None:
        self.term = term
        self._connection = term.connection
        self._broker = broker
        self._publisher = publisher
        self._told = 0
        """The position up to which the sockets have been told."""
        self._saved = 0
        self._saved_at = clock.monotonic()
        self.position = 0
        """How far the log has been read."""

    async def open(self) -> None:
        """Load the checkpoint and the publisher's runs; a new relay begins at the beginning."""
        cursor = await self._connection.execute(LOAD, (CHECKPOINT,))
        row = await cursor.fetchone()
        self._told = self._saved = row[0] if row else 0
        await self._publisher.open()
        self.position = min(self._told, self._publisher.position)

    async def step(self) -> bool:
        """Pass one page on; returns whether the log may go on.

        Raises GapFound, or Deposed when another relay has begun.
        """
        page = await reader.read_page(
            self._connection, self.position, nats_limits.FEED_BATCH_EVENTS_MAX
        )
        failpoints.reach("relay.read")
        self._publisher.hear(page)
        await self._publisher.publish()
        await self._tell(page)
        if page:
            failpoints.reach("relay.published")
            self.position = page[-1].position
            self._told = max(self._told, self.position)
        await self._save_sometimes()
        return reader.is_full(page, nats_limits.FEED_BATCH_EVENTS_MAX)

    async def _tell(self, page: Sequence[LogEvent]) -> None:
        """Tell the sockets, if NATS hears it: they look into the log themselves before long."""
        if not self._broker.is_heard:
            return
        with suppress(*nats.NatsError):
            for batch in split(page[max(0, self._told - self.position) :]):
                await self._broker.publish(nats.LIVE_SUBJECT, _encode(batch))

    async def _save_sometimes(self) -> None:
        """What is saved has reached NATS: it has answered after it.

        So the checkpoint stands for as long as NATS is not heard, for everybody to see.
        """
        is_due = clock.monotonic() - self._saved_at > SAVE_SECONDS
        if not (is_due and self._saved != self._told and self._broker.is_heard):
            return
        self._saved_at = clock.monotonic()
        try:
            await self._broker.confirm(nats_limits.NATS_ANSWER_SECONDS_MAX)
        except nats.NatsError as error:
            log.warning("relay.not_confirmed", error=repr(error))
            return
        await self._save()

    async def _save(self) -> None:
        """Raises Deposed when another relay has begun, whose checkpoint it is now."""
        term = self.term
        cursor = await self._connection.execute(
            SAVE,
            {
                "name": CHECKPOINT,
                "position": self._told,
                "role": term.role,
                "epoch": term.epoch,
            },
        )
        if cursor.rowcount == 0:
            raise Deposed(f"epoch {term.epoch} may not move the checkpoint to {self._told}")
        self._saved = self._told


def split(page: Sequence[LogEvent]) -> list[list[LogEvent]]:
    """The page in contiguous batches, none larger than a message may be.

    An event that is too large for any message goes without its state; who needs it reads the log.
    """
    batches: list[list[LogEvent]] = []
    size = 0
    for entry in page:
        if len(entry.state) > nats_limits.FEED_BATCH_BYTES_MAX:
            entry = msgspec.structs.replace(entry, state=b"")  # noqa: PLW2901
        if not batches or size + len(entry.state) > nats_limits.FEED_BATCH_BYTES_MAX:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += len(entry.state)
    return batches


async def serve(settings: Settings) -> None:
    """Run until cancelled."""
    listener = LogListener(database_url(settings), "relay")
    changed = asyncio.Event()

    def note() -> None:
        changed.set()
        listener.wake()

    broker = Broker(settings, "relay", note)

    async def pass_on(term: Term) -> None:
        publisher = WakeUpPublisher(term.connection, broker, settings)
        await _relay(Relay(term, broker, publisher), publisher, broker, listener, changed)

    broker.open()
    listener.open()
    try:
        while True:
            try:
                await lead(settings, "relay", pass_on, listener.epoch.check)
            except (Deposed, *database.LOST) as error:
                log.warning("relay.interrupted", error=repr(error))
            await asyncio.sleep(nats.RECONNECT_SECONDS)
    finally:
        await broker.close()
        await listener.close()


async def _relay(
    relay: Relay,
    publisher: WakeUpPublisher,
    broker: Broker,
    listener: LogListener,
    changed: asyncio.Event,
) -> None:
    await relay.open()
    changed.set()
    while True:
        if changed.is_set():
            changed.clear()
            publisher.wake_ups_lost()
            # If that fails, the executors make it: they miss it too.
            with suppress(*nats.NatsError):
                await nats.ensure_stream(broker.client)
        began = clock.monotonic()
        is_behind = await relay.step()
        relay.term.note_step()
        stop_if_cancelled()
        if not is_behind:
            # Under load pages grow by it, and this process takes a third of a core at the most.
            rest = 2 * (clock.monotonic() - began)
            await asyncio.sleep(min(rest, worker_limits.RELAY_REST_SECONDS_MAX))
            await listener.wait(relay.position, publisher.seconds_left)
