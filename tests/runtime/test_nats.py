"""Bells on their way: how they are written, and what keeps them."""

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
from runtime.nats import Bell
from tests.support.log import eventually


@pytest.fixture
async def client(nats_server: NatsServer) -> AsyncIterator[Client]:
    """A connection to a NATS without a stream."""
    client = await nats.connect(nats_server.url, "test")
    with suppress(NotFoundError):
        await client.jetstream().delete_stream(nats.STREAM)
    yield client
    await client.close()


async def ring(client: Client, *run_ids: str) -> None:
    """Ring, and wait until all these bells are kept."""
    for run_id in run_ids:
        await client.publish(nats.READY_SUBJECT, nats.encode_bell(Bell(run_id)))

    async def are_kept() -> bool:
        return await nats.waiting_bells(client) == len(run_ids)

    await eventually(are_kept)


@pytest.mark.parametrize("bell", [Bell("r"), Bell("r", b'{"user_id":"u"}', 1_767_225_600_000_000)])
def test_a_bell_is_read_as_it_was_written(bell: Bell) -> None:
    assert nats.decode_bell(nats.encode_bell(bell)) == bell


def test_a_bell_of_an_older_program_needs_no_more_than_the_run() -> None:
    assert nats.decode_bell(msgspec.msgpack.encode(["r"])) == Bell("r")
    assert nats.decode_bell(msgspec.msgpack.encode(["r", None, 0, "", "later"])) == Bell("r")


@pytest.mark.parametrize("data", [b"", b"01989898-aaaa", b"\x90", b"\x91\x01", b"{}"])
def test_what_is_no_bell_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        nats.decode_bell(data)


async def test_bells_wait_for_somebody_to_take_them(client: Client) -> None:
    await nats.ensure_stream(client)
    await ring(client, "a", "b")
    await nats.ensure_stream(client)
    assert await nats.waiting_bells(client) == 2, "what is there stays"


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
    await ring(client, "a")


async def test_a_consumer_that_is_gone_comes_back(client: Client) -> None:
    await nats.ensure_stream(client)
    await ring(client, "a")
    await client.jetstream().delete_consumer(nats.STREAM, nats.CONSUMER)
    await nats.ensure_stream(client)
    assert await nats.waiting_bells(client) == 1
