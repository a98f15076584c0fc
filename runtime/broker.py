"""NATS as a process sees it: a connection that is replaced as soon as nothing is heard on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import ConnectionClosedError

from domain.limits import nats_limits, worker_limits
from runtime import clock
from runtime.embedded.child import StartError
from runtime.embedded.nats import nats_url
from runtime.nats import RECONNECT_SECONDS, Client, NatsError, connect
from runtime.process import stop_if_cancelled
from runtime.settings import Settings

log = structlog.get_logger()

Receive = Callable[[Msg], Awaitable[None]]

NOT_FOUND = (StartError, msgspec.DecodeError, LookupError)
"""There is no address of the embedded server, or not the whole of it yet."""


class Ear:
    """Messages that somebody wants, over whatever connection there is."""

    def __init__(self, subject: str, receive: Receive) -> None:
        self.subject = subject
        self.receive = receive
        self.client: Client | None = None
        """On which connection it listens."""
        self.subscription: Subscription | None = None


class Broker:
    """One connection at a time, watched by a question a second.

    Where the server is gets looked up before each connection: the embedded one may have moved.
    What is sent while NATS is not heard raises NatsError; nothing is kept for later.
    """

    def __init__(
        self, settings: Settings, name: str, changed: Callable[[], None] = lambda: None
    ) -> None:
        """`changed` is called whenever NATS is heard again, and whenever it is heard no more."""
        self._settings = settings
        self._name = name
        self._changed = changed
        self._client: Client | None = None
        self._ears: list[Ear] = []
        self._keeping: asyncio.Task[None] | None = None
        self._is_missed = False
        """Somebody has been told that there is no server."""
        self.is_heard = False
        """Whether there is a connection that answers, or has answered a few seconds ago."""
        self.heard_at: float | None = None
        """When NATS answered last, in seconds of the monotonic clock; None if it never did."""

    def open(self) -> None:
        """Begin to connect."""
        self._keeping = asyncio.create_task(self._keep(), name="broker")

    async def close(self) -> None:
        """End the connection. What was published before is on its way, if NATS is heard."""
        if self._keeping is None:
            return
        if self.is_heard:
            with contextlib.suppress(*NatsError):
                await self.confirm(nats_limits.NATS_ANSWER_SECONDS_MAX)
        self._keeping.cancel()
        await asyncio.wait({self._keeping})

    @property
    def client(self) -> Client:
        """The connection of now. Raises NatsError while NATS is not heard."""
        if self._client is None or not self.is_heard:
            raise ConnectionClosedError
        return self._client

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Send a message. Raises NatsError; without that it may still get lost."""
        await self.client.publish(subject, data, reply)

    async def confirm(self, seconds: float) -> None:
        """Return when NATS has taken all that was published before. Raises NatsError."""
        await self.client.confirm(seconds)

    async def listen(self, subject: str, receive: Receive) -> Ear:
        """Have `receive` called with each message, from when NATS is heard."""
        ear = Ear(subject, receive)
        self._ears.append(ear)
        if self._client is not None:
            # If that fails the connection is lost, and the next one brings it.
            with contextlib.suppress(*NatsError):
                await _attach(ear, self._client)
        return ear

    async def ignore(self, ear: Ear) -> None:
        """End what `listen` began."""
        self._ears.remove(ear)
        if ear.subscription is not None and ear.client is self._client:
            with contextlib.suppress(*NatsError):
                await ear.subscription.unsubscribe()

    async def _keep(self) -> None:
        while True:
            try:
                client = await self._find()
                if client is not None:
                    await self._live(client)
            except Exception:
                # Whatever it was, nobody else would connect again: this process would stay deaf.
                log.exception("nats.failed")
            stop_if_cancelled()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _live(self, client: Client) -> None:
        """Use a connection for as long as it answers."""
        try:
            await self._watch(client)
        except NatsError as error:
            log.warning("nats.lost", error=repr(error))
        finally:
            self._client = None
            if self.is_heard:
                self.is_heard = False
                self._changed()
            await client.abandon()

    async def _find(self) -> Client | None:
        try:
            return await connect(nats_url(self._settings), self._name)
        except (*NatsError, *NOT_FOUND) as error:
            if not self._is_missed:
                self._is_missed = True
                log.warning("nats.unreachable", error=repr(error))
        return None

    async def _watch(self, client: Client) -> None:
        """Listen, and ask, until there is no answer. Raises NatsError then."""
        self._client = client
        for ear in tuple(self._ears):
            await _attach(ear, client)
        misses = 0
        while True:
            stop_if_cancelled()
            try:
                await client.confirm(nats_limits.NATS_ANSWER_SECONDS_MAX)
            except TimeoutError:
                misses += 1
                if misses >= nats_limits.NATS_MISSES_MAX:
                    raise
                continue
            misses = 0
            self._note_answer()
            if await client.lost(worker_limits.POLL_SECONDS):
                raise ConnectionClosedError

    def _note_answer(self) -> None:
        self.heard_at = clock.monotonic()
        if not self.is_heard:
            self.is_heard, self._is_missed = True, False
            log.info("nats.heard")
            self._changed()


async def _attach(ear: Ear, client: Client) -> None:
    if ear.client is client:
        return
    ear.client = client
    ear.subscription = await client.subscribe(
        ear.subject, cb=ear.receive, pending_bytes_limit=nats_limits.NATS_PENDING_BYTES_MAX
    )
