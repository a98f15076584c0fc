"""Wake-ups on their way: how they are written, and what keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import pytest
from nats.aio.client import Client
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from runtime import nats
from runtime.embedded.nats import NatsServer
from runtime.nats import WakeUp
from tests.support.log import eventually


@pytest.fixture
async def client(nats_server: NatsServer) -> AsyncIterator[Client]:
    """A connection to a NATS without a stream."""
    client = await nats.connect(nats_server.url, "test")
    with suppress(NotFoundError):
        await client.jetstream().delete_stream(nats.STREAM)
    yield client
    await client.close()


async def send(client: Client, *run_ids: str) -> None:
    """Send, and wait until all these wake-ups are kept."""
    for run_id in run_ids:
        await client.publish(nats.READY_SUBJECT, nats.encode_wake_up(WakeUp(run_id)))

    async def are_kept() -> bool:
        return await nats.waiting_wake_ups(client) == len(run_ids)

    await eventually(are_kept)


@pytest.mark.parametrize(
    "wake_up", [WakeUp("r"), WakeUp("r", b'{"user_id":"u"}', 1_767_225_600_000_000)]
)
def test_a_wake_up_is_read_as_it_was_written(wake_up: WakeUp) -> None:
    assert nats.decode_wake_up(nats.encode_wake_up(wake_up)) == wake_up


def test_a_wake_up_of_an_older_program_needs_no_more_than_the_run() -> None:
    assert nats.decode_wake_up(msgspec.msgpack.encode(["r"])) == WakeUp("r")
    assert nats.decode_wake_up(msgspec.msgpack.encode(["r", None, 0, "", "later"])) == WakeUp("r")


@pytest.mark.parametrize("data", [b"", b"01989898-aaaa", b"\x90", b"\x91\x01", b"{}"])
def test_what_is_no_wake_up_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        nats.decode_wake_up(data)


async def test_wake_ups_wait_for_somebody_to_take_them(client: Client) -> None:
    await nats.ensure_stream(client)
    await send(client, "a", "b")
    await nats.ensure_stream(client)
    assert await nats.waiting_wake_ups(client) == 2, "what is there stays"


async def test_a_stream_that_was_made_to_wait_for_a_disk_is_replaced(client: Client) -> None:
    await client.jetstream().add_stream(
        StreamConfig(
            name=nats.STREAM,
            subjects=[nats.READY_SUBJECT],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
        )
    )
    await nats.ensure_stream(client)
    found = await client.jetstream().stream_info(nats.STREAM)
    assert found.config.storage == StorageType.MEMORY
    await send(client, "a")


async def test_a_consumer_that_is_gone_comes_back(client: Client) -> None:
    await nats.ensure_stream(client)
    await send(client, "a")
    await client.jetstream().delete_consumer(nats.STREAM, nats.CONSUMER)
    await nats.ensure_stream(client)
    assert await nats.waiting_wake_ups(client) == 1
