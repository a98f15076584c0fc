"""Wake-ups as they come: pulled from JetStream, or found in the database, as there is room for.

The client library's `fetch` waits until a batch is full or its time is over, which is either slow
or chatty. Here a request stays open at the server and is renewed before it is used up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

import msgspec
import structlog
from nats.aio.msg import Msg

from domain.limits import worker_limits
from runtime import clock, database, ids, nats
from runtime.broker import Broker
from runtime.eventlog.log import EventLog
from runtime.nats import WakeUp
from runtime.process import stop_if_cancelled
from runtime.settings import Settings
from workers import wake_ups

log = structlog.get_logger()

NEXT = f"$JS.API.CONSUMER.MSG.NEXT.{nats.STREAM}.{nats.CONSUMER}"
REQUEST_SECONDS = 2
"""Less than a lease: when a worker that hangs has lost its runs, their wake-ups do not go to it."""

STATUS, UNUSED = "Status", "Nats-Pending-Messages"


class ReceivedWakeUp:
    """A run that somebody woke up."""

    def __init__(self, wake_up: WakeUp, message: Msg | None = None) -> None:
        """`message` is what is to be answered, if it came in one."""
        self.run_id = wake_up.run_id
        self._created = wake_up.created
        self._message = message

    def take_created(self) -> bytes | None:
        """How the run was created, if that came along and was all there was; only once."""
        created, self._created = self._created, None
        return created

    async def answer(self) -> None:
        """Silence the wake_up: the run is in hand, or wants nobody."""
        message, self._message = self._message, None
        if message is not None:
            with contextlib.suppress(*nats.NatsError):
                await message.ack()


class WakeUps:
    """The wake-ups of this executor, over a connection of its own and from the database.

    `wake` is told the runs that something came for from outside, whoever drives them.
    """

    def __init__(
        self, settings: Settings, event_log: EventLog, wake: Callable[[str], None]
    ) -> None:
        self._pool = event_log.pool
        self._epoch = event_log.epoch
        self._wake = wake
        self._broker = Broker(settings, "executor", self._forget_requests)
        self._inbox = f"_INBOX.{ids.new_id()}"
        self._delivered: deque[ReceivedWakeUp] = deque()
        """What has come and was not taken yet: another executor cannot have it."""
        self._woken = asyncio.Event()
        self._requested = 0
        """Messages that open requests may still bring."""
        self._renew_at = 0.0
        """When they have run out, whatever came of them;"""
        self._look_at = 0.0
        """and when the database is looked into."""

    async def open(self) -> None:
        """Begin to listen. NATS may come later."""
        await self._broker.listen(self._inbox, self._receive)
        await self._broker.listen(nats.NUDGE_SUBJECT, self._pass_on)
        self._broker.open()

    async def close(self) -> None:
        await self._broker.close()

    async def take(self, room: int) -> ReceivedWakeUp:
        """The next wake-up. `room` is how many more this executor could drive, at least 1."""
        while True:
            stop_if_cancelled()
            # What happens while we ask and look must not be forgotten.
            self._woken.clear()
            await self._request(room)
            await self._look(room)
            if self._delivered:
                return self._delivered.popleft()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._look_at - clock.monotonic())):
                    await self._woken.wait()

    async def _request(self, room: int) -> None:
        """Ask for as many as there is room for, beside what has come or may come already."""
        now = clock.monotonic()
        if now >= self._renew_at:
            self._requested = 0
        expected = self._requested + len(self._delivered)
        if expected > room // 2 or not self._broker.is_heard:
            return
        count = room - expected
        request = {"batch": count, "expires": REQUEST_SECONDS * 1_000_000_000}
        try:
            await self._broker.publish(NEXT, msgspec.json.encode(request), reply=self._inbox)
        except nats.NatsError as error:
            log.warning("wake_up.request_failed", error=repr(error))
        else:
            self._requested += count
            self._renew_at = now + 2 * REQUEST_SECONDS

    async def _look(self, room: int) -> None:
        """Take from the database what was wake_up for there, once a second."""
        if clock.monotonic() < self._look_at:
            return
        self._look_at = clock.monotonic() + worker_limits.POLL_SECONDS
        count = room - len(self._delivered)
        if count <= 0:
            return
        try:
            async with self._pool.connection() as connection:
                found = await wake_ups.take(connection, count)
        except database.LOST as error:
            log.warning("wake_up.not_looked", error=repr(error))
            return
        self._delivered.extend(ReceivedWakeUp(WakeUp(run_id)) for run_id in found)

    def _forget_requests(self) -> None:
        """They died with the connection."""
        self._requested = 0
        self._woken.set()

    async def _receive(self, message: Msg) -> None:
        headers = message.headers or {}
        if STATUS not in headers:
            self._requested -= 1
            wake_up = await self._read(message)
            if wake_up is not None:
                self._delivered.append(wake_up)
        elif UNUSED in headers:
            self._requested -= int(headers[UNUSED])
        else:
            # Not a request that ran out: the stream or its consumer is gone.
            await self._restore()
            self._requested = 0
        self._woken.set()

    async def _read(self, message: Msg) -> ReceivedWakeUp | None:
        """The wake-up in a message. What cannot be read is dropped: it would come back.

        From another log it says no more than which run to look for.
        """
        try:
            wake_up = nats.decode_wake_up(message.data)
        except msgspec.MsgspecError as error:
            log.warning("wake_up.unreadable", error=str(error))
            with contextlib.suppress(*nats.NatsError):
                await message.ack()
            return None
        return ReceivedWakeUp(
            wake_up if wake_up.epoch == self._epoch.known else WakeUp(wake_up.run_id), message
        )

    async def _pass_on(self, message: Msg) -> None:
        self._wake(message.data.decode())

    async def _restore(self) -> None:
        with contextlib.suppress(*nats.NatsError):
            await nats.ensure_stream(self._broker.client)
            return
        await asyncio.sleep(worker_limits.POLL_SECONDS)
