"""NATS is gone, hangs, or comes back elsewhere: work goes on without it, and with it again."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import msgspec
import nats
import pytest

from domain.runs import stream_of
from runtime import ids
from runtime.embedded.nats import nats_url
from runtime.embedded.postgres import database_url
from runtime.eventlog.log import Origin, StreamWrite, opened
from runtime.eventlog.mapper import Encoded
from runtime.eventlog.reader import LogEvent
from runtime.nats import LIVE_SUBJECT
from tests.faults.crowds import EFFECT_CHAIN
from tests.faults.graphs import PURE
from tests.faults.scene import END_SECONDS_MAX, ENDED, Scene, scene

HUNG_SECONDS = 7.0
"""Longer than whoever asks NATS waits for an answer."""
SECONDS_MAX = 8.0
"""How long a run may take that NATS does not help with: it has to be missed first."""
CHECKPOINT = """
SELECT coalesce(max(notification_id), 0) FROM log.notification_tracking
WHERE application_name = 'relay'
"""
HEAD = "SELECT max(notification_id) FROM log.stored_events"
READABLE = b'{"worker": "test/1"}'


async def relay_is_heard(given: Scene) -> None:
    """Wait until what happens now is told over NATS, and the relay knows that it has come there."""
    client = await nats.connect(nats_url(given.cluster.settings))
    try:
        live = await client.subscribe(LIVE_SUBJECT)
        await client.flush()
        await given.ended(await given.start([PURE]))
        (head,) = await given.row(HEAD)
        told = 0
        async with asyncio.timeout(END_SECONDS_MAX):
            while told < head:
                message = await live.next_msg(timeout=END_SECONDS_MAX)
                told = msgspec.msgpack.decode(message.data, type=list[LogEvent])[-1].position
            while (await given.row(CHECKPOINT))[0] < head:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
    finally:
        await client.close()


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "hung"])
async def test_runs_are_taken_and_end_without_it(whole: Scene, *, is_gone: bool) -> None:
    cluster = whole.cluster
    async with cluster.without("nats") if is_gone else cluster.hung("nats"):
        for _ in range(3):
            async with asyncio.timeout(SECONDS_MAX):
                batch = await whole.start(EFFECT_CHAIN, runs=8)
                await whole.ended(batch)
    again = await whole.start(EFFECT_CHAIN, runs=8)
    await relay_is_heard(whole)
    await whole.settle(batch, again)


async def test_nobody_is_deaf_after_it_hung(whole: Scene) -> None:
    async with whole.cluster.hung("nats"):
        batches = []
        for _ in range(round(HUNG_SECONDS)):
            started, _ = await asyncio.gather(whole.start(EFFECT_CHAIN, runs=8), asyncio.sleep(1))
            batches.append(started)
    async with asyncio.timeout(SECONDS_MAX):
        for batch in batches:
            await whole.ended(batch)
    await relay_is_heard(whole)
    await whole.settle(*batches)


async def test_an_executor_alone_finds_it_on_another_port(tmp_path: Path) -> None:
    async with scene(tmp_path, EVERGRAPH_EXECUTORS="0") as given:
        cluster = given.cluster
        async with cluster.beside("executor", "alone") as alone:
            await given.ended(await given.start([PURE]))
            order = sorted(cluster.names - {"up"})
            before = nats_url(cluster.settings)
            await cluster.kill_everything()
            with socket.create_server(("127.0.0.1", int(before.rpartition(":")[2]))):
                await cluster.start_again(order)
            assert nats_url(cluster.settings) != before
            await relay_is_heard(given)
            heard = [entry for entry in alone.logged() if entry["event"] == "nats.heard"]
            assert len(heard) == 2, "before and after"


async def test_what_nobody_can_read_stops_neither_the_relay_nor_other_runs(tmp_path: Path) -> None:
    async with scene(tmp_path) as given:
        healthy = await given.start(EFFECT_CHAIN, runs=4)
        poison = [
            Encoded("runs.RunClaimed@99", READABLE),
            Encoded("nobody.Knows@1", b"\xff"),
            Encoded("runs.RunCreated@1", b"{"),
            Encoded("runs.RunSuspended@1", b'{"stats": 5}'),
            Encoded("runs.RunCompleted@1", b""),
        ]
        async with opened(database_url(given.cluster.settings), "newer") as log:
            for event in poison:
                write = StreamWrite(stream_of(str(ids.new_id())), 0, [event])
                await log.append([write], Origin(owner=str(ids.new_id()), actor="test"))
        later = await given.start(EFFECT_CHAIN, runs=4)
        await given.ended(healthy)
        await given.recorded(later, len(later.runs), ENDED)
        await relay_is_heard(given)
        assert given.cluster.deaths("relay") == 0
        told = [
            entry for entry in given.cluster.complaints() if entry["event"].startswith("publisher")
        ]
        assert [entry["topic"] for entry in told] == ["runs.RunCreated@1", "runs.RunSuspended@1"]
