"""Run ids as they come from JetStream: pulled, as many as there is room for.

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

from domain import limits
from runtime import nats

log = structlog.get_logger()

NEXT = f"$JS.API.CONSUMER.MSG.NEXT.{nats.STREAM}.{nats.CONSUMER}"
REQUEST_SECONDS = 2
"""Less than a lease: when a worker that hangs has lost its runs, their bells do not go to it."""
STATUS, UNUSED = "Status", "Nats-Pending-Messages"


class Rung:
    """A run that somebody rang for."""

    def __init__(self, message: Msg) -> None:
        bell = nats.decode_bell(message.data)
        self.run_id = bell.run_id
        self._created = bell.created
        self._message: Msg | None = message

    def take_created(self) -> bytes | None:
        """How the run was created, if that came along and was all there was; only once."""
        created, self._created = self._created, None
        return created

    async def answer(self) -> None:
        """Silence the bell: the run is in hand, or wants nobody."""
        message, self._message = self._message, None
        if message is not None:
            with contextlib.suppress(*nats.NatsError):
                await message.ack()


class Bells:
    """The run ids handed to this executor, over a connection of its own.

    `wake` is told the runs that something came for from outside, whoever drives them.
    """

    def __init__(self, wake: Callable[[str], None]) -> None:
        self._wake = wake
        self._messages: deque[Msg] = deque()
        self._rung = asyncio.Event()
        self._requested = 0
        """Messages that open requests may still bring."""

    async def open(self, url: str) -> None:
        """Connect to NATS, however long it takes."""
        self._client = await nats.connect(url, "executor", reconnected=self._forget_requests)
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(self._inbox, cb=self._receive)
        await self._client.subscribe(nats.WAKE_SUBJECT, cb=self._pass_on)

    async def close(self) -> None:
        with contextlib.suppress(*nats.NatsError):
            await self._client.close()

    async def take(self, room: int) -> Rung:
        """The next ring. `room` is how many more this executor could drive, at least 1."""
        while True:
            if self._requested <= room // 2:
                await self._request(room - self._requested)
            while self._messages:
                rung = await _read(self._messages.popleft())
                if rung is not None:
                    return rung
            self._rung.clear()
            try:
                async with asyncio.timeout(REQUEST_SECONDS * 2):
                    await self._rung.wait()
            except TimeoutError:
                self._requested = 0

    async def _request(self, count: int) -> None:
        request = {"batch": count, "expires": REQUEST_SECONDS * 1_000_000_000}
        try:
            await self._client.publish(NEXT, msgspec.json.encode(request), reply=self._inbox)
        except nats.NatsError as error:
            log.warning("bells.request_failed", error=repr(error))
            await asyncio.sleep(nats.RECONNECT_SECONDS)
        else:
            self._requested += count

    async def _forget_requests(self) -> None:
        """They died with the connection."""
        self._requested = 0
        self._rung.set()

    async def _receive(self, message: Msg) -> None:
        headers = message.headers or {}
        if STATUS not in headers:
            self._requested -= 1
            self._messages.append(message)
        elif UNUSED in headers:
            self._requested -= int(headers[UNUSED])
        else:
            # Not a request that ran out: the stream or its consumer is gone.
            await self._restore()
            self._requested = 0
        self._rung.set()

    async def _pass_on(self, message: Msg) -> None:
        self._wake(message.data.decode())

    async def _restore(self) -> None:
        with contextlib.suppress(*nats.NatsError):
            await nats.ensure_stream(self._client)
            return
        await asyncio.sleep(limits.POLL_SECONDS)


async def _read(message: Msg) -> Rung | None:
    """The ring in a message. One that cannot be read is dropped: it would come back for ever."""
    try:
        return Rung(message)
    except msgspec.MsgspecError as error:
        log.warning("bell.unreadable", error=str(error))
    with contextlib.suppress(*nats.NatsError):
        await message.ack()
    return None
