"""Whoever asks for much and reads slowly takes little memory, and keeps nobody else waiting.

A hundred such connections of one user took 1 GB of the API.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import median

import msgspec
import pytest

from blocks.data import StoreValue
from runtime import clock
from tests.api.test_run_pages import SPREAD
from tests.support.api import Caller
from tests.support.attacked import MEMORY_BYTES_MAX, Attacked
from tests.support.graphs import graph, node
from tests.support.wire import wires
from tests.support.written import begun

READERS = 100
OTHERS_SECONDS_MAX = 0.5
LITTLE = 4_096
"""What a peer has room for."""


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
