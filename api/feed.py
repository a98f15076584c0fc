"""The live feed: every run event of the log, in order and once, for whoever listens in here.

NATS only makes it quick. The feed keeps a position of its own and reads from the log whatever the
messages leave out, so lost, doubled, late or damaged ones change nothing but the delay.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import structlog
from nats.aio.msg import Msg

from domain import catalogue
from domain.limits import nats_limits, worker_limits
from projections.projection import Recorded
from runtime import clock, database, nats
from runtime.broker import Broker, Ear
from runtime.eventlog import reader
from runtime.eventlog.log import EventLog
from runtime.eventlog.reader import LogEvent

log = structlog.get_logger()

Listener = Callable[[Recorded], None]

RUN_TOPICS = frozenset(topic for topic in catalogue.TOPICS if topic.startswith("runs."))

_decode_batch = msgspec.msgpack.Decoder(list[LogEvent]).decode


class Feed:
    """One a process. Without listeners it does nothing."""

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log
        self._listeners: dict[str, list[Listener]] = {}
        self._joining = asyncio.Lock()
        self._cursor: int | None = None
        """The last position that was passed on; None while nobody listens."""
        self._inbox: deque[list[LogEvent]] = deque(maxlen=nats_limits.FEED_INBOX_BATCHES_MAX)
        self._woken = asyncio.Event()
        self._poll_at = 0.0
        """When the log itself is looked at, if nothing new has come by then."""
        self._following: asyncio.Task[None] | None = None
        self._broker: Broker | None = None
        self._ear: Ear | None = None
        """What NATS sends us; None while nobody listens, since all of it costs something."""

    @property
    def position(self) -> int | None:
        """Up to where the log has been passed on; None while nobody listens."""
        return self._cursor

    async def open(self) -> None:
        self._following = asyncio.create_task(self._follow(), name="feed")

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following

    async def attach(self, broker: Broker) -> None:
        """Hear from NATS at once what the log would tell within a second."""
        async with self._joining:
            self._broker = broker
            if self._listeners:
                await self._hear()

    async def subscribe(self, user_id: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event of this user's runs that is appended from now on.

        It is called in the log's order and must not block. Returns how to end it. Raises what
        `database.LOST` names.
        """
        async with self._joining:
            await self._hear()
            if self._cursor is None:
                self._cursor = await self._log.read_head()
            self._listeners.setdefault(user_id, []).append(listener)
        self._woken.set()
        return partial(self._unsubscribe, user_id, listener)

    def _unsubscribe(self, user_id: str, listener: Listener) -> None:
        listeners = self._listeners[user_id]
        listeners.remove(listener)
        if not listeners:
            del self._listeners[user_id]
        if not self._listeners:
            self._cursor = None
            self._inbox.clear()

    async def _hear(self) -> None:
        """Have NATS send us what happens from now on; without it the log is looked at."""
        if self._ear is not None or self._broker is None:
            return
        self._ear = await self._broker.listen(nats.LIVE_SUBJECT, self._receive)
        with contextlib.suppress(*nats.NatsError):
            await self._broker.confirm(nats_limits.NATS_ANSWER_SECONDS_MAX)

    async def _fall_silent(self) -> None:
        async with self._joining:
            if self._ear is not None and self._broker is not None and not self._listeners:
                ear, self._ear = self._ear, None
                await self._broker.ignore(ear)

    async def _receive(self, message: Msg) -> None:
        if not self._listeners:
            await self._fall_silent()
            return
        try:
            batch = _decode_batch(message.data)
        except (msgspec.DecodeError, RecursionError) as error:
            log.warning("feed.malformed", error=str(error))
            return
        self._inbox.append(batch)
        self._woken.set()

    async def _follow(self) -> None:
        while True:
            try:
                batch = await self._next_batch()
                if batch is None or not await self._take(batch):
                    await self._catch_up()
                # Sockets can send before the next batch fills their queues.
                await asyncio.sleep(0)
            except database.LOST as error:
                log.warning("feed.interrupted", error=repr(error))
                await asyncio.sleep(worker_limits.POLL_SECONDS)
            except Exception:
                log.exception("feed.failed")
                await asyncio.sleep(worker_limits.POLL_SECONDS)

    async def _next_batch(self) -> list[LogEvent] | None:
        """The next batch that came; None when it is time to look at the log itself."""
        while True:
            remaining = self._poll_at - clock.monotonic() if self._listeners else None
            if remaining is not None and remaining <= 0:
                return None
            if self._inbox:
                return self._inbox.popleft()
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    await self._woken.wait()

    async def _take(self, batch: Sequence[LogEvent]) -> bool:
        """Pass on what is new in the batch. False when something before it is missing."""
        for entry in batch:
            if self._cursor is None:
                return True
            if entry.position > self._cursor + 1:
                return False
            if entry.position == self._cursor + 1:
                await self._pass_on(entry)
        return True

    async def _pass_on(self, entry: LogEvent) -> None:
        recorded = None
        if entry.owner in self._listeners and entry.topic in RUN_TOPICS:
            recorded = await self._recorded(entry)
            if self._cursor != entry.position - 1:
                # All left while the log was read, and others began elsewhere.
                return
        self._cursor = entry.position
        self._poll_at = clock.monotonic() + worker_limits.POLL_SECONDS
        if recorded is None:
            return
        for listener in tuple(self._listeners.get(entry.owner, ())):
            try:
                listener(recorded)
            except Exception:
                log.exception("feed.listener_failed", position=entry.position)

    async def _recorded(self, entry: LogEvent) -> Recorded | None:
        """The entry decoded; from the log, if the message had it without state or damaged."""
        if entry.state:
            with contextlib.suppress(Exception):
                return _decode(entry)
        async with self._log.pool.connection() as connection:
            stored = await reader.read_page(connection, entry.position - 1, 1)
        return decoded(stored[0]) if stored else None

    async def _catch_up(self) -> None:
        """Pass on what the log has and nobody has told us of. Raises GapFound."""
        head = await self._log.read_head()
        if self._cursor is not None and self._cursor > head:
            log.error("feed.log_went_back", position=self._cursor, head=head)
            self._cursor = head
        while self._cursor is not None and self._cursor < head:
            async with self._log.pool.connection() as connection:
                page = await reader.read_page(
                    connection, self._cursor, nats_limits.FEED_BATCH_EVENTS_MAX
                )
            if not page:
                break
            await self._take(page)
        self._poll_at = clock.monotonic() + worker_limits.POLL_SECONDS


def decoded(entry: LogEvent) -> Recorded | None:
    """The event at its place, or None for one that this program cannot read.

    That is logged, and passed over: nobody's feed may stop for it.
    """
    try:
        return _decode(entry)
    except Exception as error:
        log.exception(
            "feed.unreadable", position=entry.position, topic=entry.topic, error=repr(error)
        )
        return None


def _decode(entry: LogEvent) -> Recorded:
    return Recorded(
        position=entry.position,
        stream=entry.stream,
        version=entry.version,
        owner=entry.owner,
        recorded_us=entry.recorded_us,
        event=entry.decode(),
    )
