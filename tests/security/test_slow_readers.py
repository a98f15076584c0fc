"""Whoever asks for much and reads slowly takes little memory, and keeps nobody else waiting.

A hundred such connections of one user took 1.3 GB of the API.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from statistics import median
from typing import Any

import msgspec
import pytest

from blocks.data import StoreValue
from domain.runs import NodeCompleted, RunClaimed, RunCompleted, RunStats
from runtime import clock
from tests.api.runs.test_pages import SPREAD
from tests.security.test_sockets import peer
from tests.support.api import Caller, eventually
from tests.support.attacked import MEMORY_BYTES_MAX, Attacked
from tests.support.graphs import graph, node
from tests.support.live import Peer
from tests.support.wire import wires
from tests.support.written import WrittenRun, begun

READERS, QUICK = 100, 20
SOCKETS = 50
VALUES = 40
VALUE = msgspec.json.encode("x" * 200_000)
"""Just not large enough to be by reference: a page has 8 MB of executions and 4 MB of outputs."""
OTHERS_SECONDS_MAX = 0.5
LITTLE = 4_096
"""What a peer has room for."""


async def large_run(served: Attacked, caller: Caller) -> WrittenRun:
    """One of which the page has 12 MB."""
    run = await begun(served.log, caller, await caller.save(SPREAD))
    (key,) = await served.log.values.put(run.owner, [VALUE])
    items: list[tuple[str, Any]] = [("item", None)] * VALUES
    large = dict.fromkeys(range(VALUES), key)
    y = run.node("y")
    await run.append(
        RunClaimed("test/1"),
        NodeCompleted(0, run.node("a"), items, 5, large=large),
        *(NodeCompleted(n + 1, y, [("output", None)], 5, large={0: key}) for n in range(VALUES)),
        RunCompleted(RunStats(steps=VALUES + 1)),
    )
    return run


@asynccontextmanager
async def others_at_ease(served: Attacked) -> AsyncIterator[None]:
    """In this block somebody else who looks at a small run is answered soon."""
    other = await served.user()
    run = await begun(served.log, other, await other.save(SPREAD))
    took: list[float] = []

    async def look() -> None:
        while True:
            began = clock.monotonic()
            assert (await run.shown())["status"] == "QUEUED"
            took.append(clock.monotonic() - began)
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait([looking])
    assert looking.cancelled(), looking.exception()
    assert median(took) < OTHERS_SECONDS_MAX


@pytest.mark.holds("S17")
async def test_answers_that_are_read_slowly(attacked: Attacked) -> None:
    caller = await attacked.user()
    run = await large_run(attacked, caller)
    assert len((await caller.get(run.path)).content) > 12_000_000
    async with wires(attacked.http) as lines, others_at_ease(attacked):
        readers = [await lines.connect(SO_RCVBUF=LITTLE) for _ in range(READERS)]
        for reader in readers:
            await reader.send(asking(caller, "GET", run.path))
        answers = await asyncio.gather(*(reader.head() for reader in readers))
        assert attacked.peak() < MEMORY_BYTES_MAX
    refused = [answer.headers["retry-after"] for answer in answers if answer.status == 503]
    assert refused == ["1"] * len(refused)
    assert 4 <= sum(answer.status == 200 for answer in answers) < READERS
    assert len((await caller.get(run.path)).content) > 12_000_000


async def test_who_reads_what_was_answered_is_refused_nothing(attacked: Attacked) -> None:
    caller = await attacked.user()
    run = await large_run(attacked, caller)
    answers = await asyncio.gather(*(caller.get(run.path) for _ in range(QUICK)))
    assert [answer.status_code for answer in answers] == [200] * QUICK


@pytest.mark.holds("S17")
async def test_what_was_sent_is_forgotten_while_the_answer_is_read(attacked: Attacked) -> None:
    """Each takes 8 MB when it is decoded, and its answer half of one."""
    caller = await attacked.user()
    dense = graph(node("kept", StoreValue, input=[[]] * 120_000))
    body = msgspec.json.encode({"graph": dense})
    request = asking(caller, "POST", "/api/v1/graphs", len(body)) + body
    async with wires(attacked.http) as lines, others_at_ease(attacked):
        for _ in range(READERS):
            reader = await lines.connect(SO_RCVBUF=LITTLE)
            await reader.send(request)
            assert (await reader.head()).status == 200
    assert attacked.peak() < MEMORY_BYTES_MAX


def asking(caller: Caller, method: str, path: str, size: int = 0) -> bytes:
    """The head of a request with a body of this size."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: x",
        f"Authorization: {caller.headers['Authorization']}",
        "Content-Type: application/json",
        f"Content-Length: {size}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.holds("S17")
async def test_sockets_that_are_read_slowly(attacked: Attacked) -> None:
    """Each asks for an answer of 4 MB again and again."""
    caller = await attacked.user()
    run = await large_run(attacked, caller)
    async with AsyncExitStack() as stack, others_at_ease(attacked):
        peers = [await stack.enter_async_context(deaf(attacked, caller)) for _ in range(SOCKETS)]
        for _ in range(4):
            for one in peers:
                await one.say("execution_status", execution_id=run.run_id)
        await eventually(partial(are_given_up, attacked))


async def are_given_up(served: Attacked) -> bool:
    """Whether some peers have been closed because they take nothing, while memory was left."""
    assert served.peak() < MEMORY_BYTES_MAX
    reasons = [line.get("reason") for line in served.cluster.logged()]
    return reasons.count("too_slow") > 4


@asynccontextmanager
async def deaf(served: Attacked, caller: Caller) -> AsyncIterator[Peer]:
    """A socket of theirs on which nothing is read."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
    taken.connect((served.http.base_url.host, served.http.base_url.port))
    async with peer(served, caller, sock=taken, compression=None, max_queue=1) as opened:
        transport = opened.socket.transport
        transport.pause_reading()
        yield opened
        transport.abort()
