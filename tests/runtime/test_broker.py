"""A process's connection to NATS, when the server dies, hangs, or moves."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from domain.limits import nats_limits
from runtime.broker import Broker
from runtime.embedded.nats import NatsServer
from runtime.nats import NatsError
from runtime.settings import Settings
from tests.support.brokers import hearing
from tests.support.processes import is_stopped, until

LARGE = b"x" * 512 * 1024


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with NatsServer(tmp_path) as server:
        yield server


@asynccontextmanager
async def hung(server: NatsServer) -> AsyncIterator[None]:
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await until(lambda: is_stopped(pid))
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def kill(server: NatsServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()


class Ears:
    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def note(self, message: Msg) -> None:
        self.heard.append(message.data)

    async def hear(self, broker: Broker, data: bytes) -> None:
        """Wait until a message gets through."""
        await broker.publish("subject", data)
        await broker.confirm(nats_limits.NATS_ANSWER_SECONDS_MAX)
        await until(lambda: data in self.heard)


async def test_a_server_that_hangs_is_missed_and_heard_again(server: NatsServer) -> None:
    ears = Ears()
    async with hearing(server.url) as broker:
        await broker.listen("subject", ears.note)
        await ears.hear(broker, b"before")
        async with hung(server):
            with pytest.raises(NatsError):
                await broker.confirm(0.1)
            await until(lambda: not broker.is_heard)
            with pytest.raises(NatsError):
                await broker.publish("subject", b"lost")
        heard_at = broker.heard_at
        await until(lambda: broker.is_heard)
        assert broker.heard_at != heard_at
        await ears.hear(broker, b"after")
        assert ears.heard == [b"before", b"after"]


async def test_an_answer_that_comes_too_late_harms_nothing(server: NatsServer) -> None:
    ears = Ears()
    async with hearing(server.url) as broker:
        await broker.listen("subject", ears.note)
        client = broker.client
        async with hung(server):
            with pytest.raises(TimeoutError):
                await broker.confirm(0.1)
        await ears.hear(broker, b"after")
        assert broker.client is client


async def test_nobody_waits_long_for_a_server_that_takes_nothing(server: NatsServer) -> None:
    async with hearing(server.url) as broker:
        async with hung(server):
            async with asyncio.timeout(15):
                with suppress(*NatsError):
                    while True:
                        await broker.publish("subject", LARGE)
        await until(lambda: broker.is_heard)


async def test_closing_does_not_wait_for_a_server_that_hangs(server: NatsServer) -> None:
    async with hearing(server.url) as broker, hung(server):
        for _ in range(4):
            await broker.publish("subject", LARGE)
        async with asyncio.timeout(10):
            await broker.close()


async def test_whoever_stops_listening_hears_no_more(server: NatsServer) -> None:
    ears, others = Ears(), Ears()
    async with hearing(server.url) as broker:
        ear = await broker.listen("subject", ears.note)
        await broker.listen("subject", others.note)
        await broker.ignore(ear)
        await others.hear(broker, b"a")
        await kill(server)
        await until(lambda: not broker.is_heard)
        await server.start()
        await until(lambda: broker.is_heard)
        await others.hear(broker, b"b")
    assert ears.heard == []


async def test_a_server_that_comes_back_elsewhere_is_found(tmp_path: Path) -> None:
    broker = Broker(Settings(data_dir=tmp_path), "test")
    broker.open()
    try:
        async with NatsServer(tmp_path) as server:
            await until(lambda: broker.is_heard)
            before = server.url
        await until(lambda: not broker.is_heard)
        with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
            async with NatsServer(tmp_path) as server:
                assert server.url != before
                await until(lambda: broker.is_heard)
    finally:
        await broker.close()


async def test_a_server_that_talks_nonsense_is_tried_again() -> None:
    served = 0

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        writer.write(b"INFO []\r\n")
        await writer.drain()
        writer.close()

    nonsense = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = nonsense.sockets[0].getsockname()[1]
    broker = Broker(Settings(nats_url=f"nats://127.0.0.1:{port}"), "test")
    broker.open()
    try:
        await until(lambda: served >= 2)
    finally:
        await broker.close()
        nonsense.close()
