"""NATS: the wake_up. JetStream hands run ids to executors, core NATS fans out committed events.

Nothing is ever only here. A lost wake-up is sent again by the sweeper, a lost batch of events is
read from the log.
"""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import nats.errors
import structlog
from nats.aio import client as library
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from domain.limits import nats_limits, worker_limits
from runtime import ids

log = structlog.get_logger()

READY_SUBJECT = "evergraph.runs.ready"
"""WakeUps: a run should be looked at, by one executor."""
NUDGE_SUBJECT = "evergraph.runs.nudge"
"""A run's id: whoever has the run in hand should look what came from outside."""
LIVE_SUBJECT = "evergraph.live"
"""Batches of committed events, in order."""
STREAM = "EVERGRAPH_RUNS"
CONSUMER = "executors"
RECONNECT_SECONDS = 0.2

NatsError = (nats.errors.Error, TimeoutError, OSError)
"""What a call can raise while the server is away."""


class WakeUp(msgspec.Struct, frozen=True, array_like=True):
    """What an executor is told: look at this run.

    `created` is the encoded RunCreated of a run to which nothing else has happened yet, as far as
    the publisher knew, and `recorded_us` when that was recorded, in microseconds since 1970.
    Without it the run's stream has to be read. `epoch` says of which log that is true.
    """

    run_id: str
    created: bytes | None = None
    recorded_us: int = 0
    epoch: str = ""


encode_wake_up = msgspec.msgpack.Encoder().encode
"""The message for a WakeUp."""
decode_wake_up = msgspec.msgpack.Decoder(WakeUp).decode
"""The WakeUp in a message. Raises msgspec.MsgspecError for anything else."""


class Client(library.Client):
    """A connection that is not repaired: once lost it is closed, and its calls raise NatsError.

    What the library has for that is not used. A reconnection or a `flush` of its own that takes too
    long leaves it deaf although "connected".
    """

    def __init__(self) -> None:
        super().__init__()
        self._transport = self._wire = _Wire()  # type: ignore[no-untyped-call]
        self._mailbox = ""
        self._asked: dict[bytes, asyncio.Future[None]] = {}
        self._gone = asyncio.Event()

    async def open(self, url: str, name: str) -> None:
        """Connect. Raises NatsError."""
        await self.connect(
            url,
            name=f"evergraph {name}",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            closed_cb=self._go,
            error_cb=_note,
            flush_timeout=nats_limits.NATS_ANSWER_SECONDS_MAX,
        )
        self._mailbox = self.new_inbox()
        await self.subscribe(self._mailbox, cb=self._answered)

    async def confirm(self, seconds: float) -> None:
        """Return when the server has taken all that was sent before, and is heard by us.

        A word to ourselves goes the way of everything else, and the server keeps the order of what
        one connection sends. Raises TimeoutError after so many seconds, or another NatsError.
        """
        token = ids.new_secret(8).encode()
        answer = self._asked[token] = asyncio.get_running_loop().create_future()
        try:
            await self.publish(self._mailbox, token)
            async with asyncio.timeout(seconds):
                await answer
        finally:
            del self._asked[token]

    async def lost(self, seconds: float) -> bool:
        """Wait so long for the end of the connection, and say whether it has come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        return self._gone.is_set()

    async def abandon(self) -> None:
        """Close at once, whatever has not been sent: a server that hangs would take nothing."""
        self._pending.clear()
        self._pending_data_size = 0
        self._wire.abort()
        with contextlib.suppress(*NatsError):
            async with asyncio.timeout(nats_limits.NATS_ANSWER_SECONDS_MAX):
                await self.close()

    async def _answered(self, message: Msg) -> None:
        answer = self._asked.get(message.data)
        if answer is not None and not answer.done():
            answer.set_result(None)

    async def _go(self) -> None:
        self._gone.set()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(nats.errors.ConnectionClosedError())


class _Wire(TcpTransport):
    """The library's transport, which can also be ended without waiting for the other side."""

    def __bool__(self) -> bool:
        # Not yet connected, it is still the one to use.
        return True

    def abort(self) -> None:
        if self._io_writer is not None:
            self._io_writer.transport.abort()


async def _note(error: Exception) -> None:
    log.debug("nats.error", error=repr(error))


async def connect(url: str, name: str) -> Client:
    """An open connection. Raises NatsError when there is none in time."""
    client = Client()
    try:
        async with asyncio.timeout(nats_limits.NATS_CONNECT_SECONDS_MAX):
            await client.open(url, name)
    except BaseException:
        await client.abandon()
        raise
    return client


async def ensure_stream(client: library.Client) -> None:
    """Create the stream and its consumer when they are missing: a wiped store costs nothing.

    Wake-ups that are lost are sent again, so they are kept in memory and never wait for a disk.
    A stream that was made with another kind of storage is replaced. Raises NatsError.
    """
    jetstream = _jetstream(client)
    with contextlib.suppress(NotFoundError):
        stream = await jetstream.stream_info(STREAM)
        if stream.config.storage == StorageType.MEMORY:
            await _ensure_consumer(jetstream)
            return
        await jetstream.delete_stream(STREAM)
    await jetstream.add_stream(
        StreamConfig(
            name=STREAM,
            subjects=[READY_SUBJECT],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.MEMORY,
            max_age=worker_limits.WAKE_UP_KEEP_SECONDS,
        )
    )
    await _ensure_consumer(jetstream)


async def _ensure_consumer(jetstream: JetStreamContext) -> None:
    try:
        await jetstream.consumer_info(STREAM, CONSUMER)
    except NotFoundError:
        await jetstream.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=CONSUMER,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=worker_limits.WAKE_UP_ACK_SECONDS,
                max_ack_pending=-1,
            ),
        )


async def waiting_wake_ups(client: library.Client) -> int:
    """How many wake-ups wait for an executor. Raises NatsError."""
    info = await _jetstream(client).consumer_info(STREAM, CONSUMER)
    return int(info.num_pending or 0)


def _jetstream(client: library.Client) -> JetStreamContext:
    return client.jetstream(timeout=nats_limits.NATS_ANSWER_SECONDS_MAX)
