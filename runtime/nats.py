"""NATS: the bell. JetStream hands run ids to executors, core NATS fans out committed events.

Nothing is ever only here. A lost ring is rung again by the sweeper, a lost batch of events is
read from the log.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import msgspec
import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from domain import limits

log = structlog.get_logger()

READY_SUBJECT = "evergraph.runs.ready"
"""Bells: a run should be looked at, by one executor."""
WAKE_SUBJECT = "evergraph.runs.wake"
"""A run's id: whoever has the run in hand should look what came from outside."""
LIVE_SUBJECT = "evergraph.live"
"""Batches of committed events, in order."""
STREAM = "EVERGRAPH_RUNS"
CONSUMER = "executors"
RECONNECT_SECONDS = 0.2

NatsError = (nats.errors.Error, TimeoutError, OSError)
"""What a call can raise while the server is away."""


class Bell(msgspec.Struct, frozen=True, array_like=True):
    """What an executor is told: look at this run.

    `created` is the encoded RunCreated of a run to which nothing else has happened yet, as far as
    the ringer knew, and `recorded_us` when that was recorded, in microseconds since 1970. Without
    it the run's stream has to be read.
    """

    run_id: str
    created: bytes | None = None
    recorded_us: int = 0


encode_bell = msgspec.msgpack.Encoder().encode
"""The message for a Bell."""
decode_bell = msgspec.msgpack.Decoder(Bell).decode
"""The Bell in a message. Raises msgspec.MsgspecError for anything else."""


async def connect(
    url: str, name: str, *, reconnected: Callable[[], Awaitable[None]] | None = None
) -> Client:
    """A connection that comes back by itself. Waits for the server, however long it takes."""

    async def lost() -> None:
        log.warning("nats.lost")

    async def failed(error: Exception) -> None:
        log.debug("nats.error", error=repr(error))

    while True:
        try:
            return await nats.connect(
                url,
                name=f"evergraph {name}",
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_SECONDS,
                reconnected_cb=reconnected,
                disconnected_cb=lost,
                error_cb=failed,
            )
        except NatsError as error:
            log.warning("nats.unreachable", error=repr(error))
            await asyncio.sleep(RECONNECT_SECONDS)


async def ensure_stream(client: Client) -> None:
    """Create the stream and its consumer when they are missing: a wiped store costs nothing.

    Bells are rung again when they are lost, so they are kept in memory and never wait for a disk.
    A stream that was made with another kind of storage is replaced. Raises NatsError.
    """
    jetstream: JetStreamContext = client.jetstream()
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
            max_age=limits.BELL_KEEP_SECONDS,
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
                ack_wait=limits.BELL_ACK_SECONDS,
                max_ack_pending=-1,
            ),
        )


async def waiting_bells(client: Client) -> int:
    """How many bells wait for an executor. Raises NatsError."""
    info = await client.jetstream().consumer_info(STREAM, CONSUMER)
    return int(info.num_pending or 0)
