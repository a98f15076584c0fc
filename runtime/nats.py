"""NATS: the bell. JetStream hands run ids to executors, core NATS fans out committed events.

Nothing is ever only here. A lost ring is rung again by the sweeper, a lost batch of events is
read from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

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
"""A run's id: it should be looked at."""
LIVE_SUBJECT = "evergraph.live"
"""Batches of committed events, in order."""
STREAM = "EVERGRAPH_RUNS"
CONSUMER = "executors"
RECONNECT_SECONDS = 0.2

NatsError = (nats.errors.Error, TimeoutError, OSError)
"""What a call can raise while the server is away."""


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

    Raises NatsError.
    """
    jetstream: JetStreamContext = client.jetstream()
    try:
        await jetstream.consumer_info(STREAM, CONSUMER)
    except NotFoundError:
        await jetstream.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=[READY_SUBJECT],
                retention=RetentionPolicy.WORK_QUEUE,
                storage=StorageType.FILE,
                max_age=limits.BELL_KEEP_SECONDS,
            )
        )
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
    """How many run ids wait for an executor. Raises NatsError."""
    info = await client.jetstream().consumer_info(STREAM, CONSUMER)
    return int(info.num_pending or 0)
