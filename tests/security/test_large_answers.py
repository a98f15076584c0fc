"""Whatever a user has stored, no answer or message of the API is large, and little is in memory.

Each of these, six times at once, was hundreds of megabytes, and the API took 1.5 GB for them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect

from blocks.data import StoreValue
from domain.runs import NodeCompleted, RunClaimed, RunCompleted, RunStats
from tests.api.runs.test_pages import SPREAD
from tests.support.api import Caller, Saved, answered
from tests.support.attacked import MEGABYTE, MEMORY_BYTES_MAX, Attacked
from tests.support.graphs import agent_input, agent_output, graph, node
from tests.support.written import WrittenRun, begun

COUNT = 1_500
MESSAGE_BYTES_MAX = 6 * MEGABYTE


async def repeating(served: Attacked, caller: Caller) -> WrittenRun:
    """A run of 1,500 executions that were given one stored value of 1 MB, and yielded it."""
    run = await begun(served.log, caller, await caller.save(SPREAD))
    (key,) = await served.log.values.put(run.owner, [msgspec.json.encode("x" * MEGABYTE)])
    outputs: list[tuple[str, Any]] = [("item", None)] * COUNT
    large = dict.fromkeys(range(COUNT), key)
    await run.append(RunClaimed("test/1"), NodeCompleted(0, run.node("a"), outputs, 5, large=large))
    for first in range(1, COUNT + 1, 500):
        y = run.node("y")
        numbers = range(first, first + 500)
        await run.append(
            *(NodeCompleted(n, y, [("output", None)], 5, large={0: key}) for n in numbers)
        )
    await run.append(RunCompleted(RunStats(steps=COUNT + 1)))
    return run


@pytest.mark.holds("S19")
async def test_a_run_that_repeats_a_large_value(attacked: Attacked) -> None:
    caller = await attacked.user()
    run = await repeating(attacked, caller)
    for page in await attacked.asked(caller, run.path):
        (key,) = page["large_values"]
        assert page["outputs"] == {"y": [{"large_value": key}] * COUNT}
        assert len(page["node_executions"]) == COUNT + 1
        assert (page["next_after"], page["next_outputs"]) == (None, None)
    for value in await attacked.asked(caller, f"/api/v1/values/{key}"):
        assert len(value) == MEGABYTE
    sizes = []
    url = f"{attacked.cluster.url.replace('http', 'ws')}/ws/{caller.user_id}"
    token = caller.headers["Authorization"].removeprefix("Bearer ")
    async with connect(f"{url}?token={token}", max_size=None) as socket, asyncio.timeout(60):
        for kind in ("execution_status", "subscribe_execution"):
            await socket.send(msgspec.json.encode({"type": kind, "execution_id": run.run_id}))
        async for message in socket:
            sizes.append(len(message))
            if msgspec.json.decode(message)["type"] == "execution_completed":
                break
    assert len(sizes) > COUNT
    assert max(sizes) < MESSAGE_BYTES_MAX
    assert attacked.peak() < MEMORY_BYTES_MAX


@pytest.mark.holds("S19")
async def test_lists_of_what_is_large(attacked: Attacked) -> None:
    caller = await attacked.user()
    text = "\N{EURO SIGN}" * 20_000
    echo = graph(agent_input("x"), agent_output("y"), links="x.result > y.value")
    for _ in range(60):
        small = await caller.save({**echo, "description": text, "instructions": text})
    large = await caller.save(graph(node("kept", StoreValue, input="x" * int(3.8 * MEGABYTE))))
    for _ in range(7):
        answered(await caller.put(large.path, large.model))
    await started(caller, small, 250)
    for path in ("/graphs", f"/graphs/{large.graph_id}/versions"):
        for page in await attacked.asked(caller, f"/api/v1{path}"):
            assert page
    last = {"At-Least": str(await attacked.head())}
    answered(await caller.get("/api/v1/executions", **last))
    for page in await attacked.asked(caller, "/api/v1/executions"):
        assert [run["inputs"] for run in page] == [None] * 250


async def started(caller: Caller, saved: Saved, count: int) -> None:
    inputs = {f"k{number}": "x" * 50_000 for number in range(5)}
    room = asyncio.Semaphore(8)

    async def one() -> None:
        async with room:
            await caller.start(saved, inputs)

    await asyncio.gather(*(one() for _ in range(count)))
