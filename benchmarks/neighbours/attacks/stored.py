"""Attacks with what is stored, and with what is shown of it."""

from __future__ import annotations

import asyncio
import json
from itertools import cycle
from typing import Any

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from benchmarks.load.installation import HOST
from benchmarks.neighbours.attacks.attack import Attack
from benchmarks.neighbours.nuisance import (
    Document,
    Nuisance,
    each,
    graph,
    node,
    over_and_over,
)
from blocks.data import StoreValue

HEAVY_GRAPHS = 45
DENSE: list[Any] = [[]] * 124_000
"""With the graph around them, as many values as a body may have."""
LONG = "x" * 3_900_000
REPEATED = 1_500
VALUES = ["x" * 1_000_000, "x" * 250_000]
"""The one is shown by reference; the other is as large as may be shown as it is."""
READERS = 4
PINS = 9_000
LINKS = 4_900
ANSWER_BYTES_MAX = 1_000_000


async def heavy_graphs(user: Nuisance) -> None:
    """Graphs that take as much memory as a body may, stored, run and read again and again."""
    stored: list[Document] = []

    async def store() -> None:
        for number in range(HEAVY_GRAPHS):
            value = LONG if number % 3 == 0 else DENSE
            stored.append(await user.save(graph([node("kept", StoreValue, input=value)])))
            del stored[-1]["nodes"]
        await asyncio.Event().wait()

    async def run() -> None:
        for model in stored:
            await user.start(model)

    async def read() -> None:
        for model in stored:
            await _read(user, f"/graphs/{model['id']}", "graphs read")

    await asyncio.gather(store(), *(over_and_over(act) for act in (run, run, read, read)))


async def repeated_values(user: Nuisance) -> None:
    """Runs that hand on one large value 1,500 times, read by several at once, over sockets too."""

    async def run(value: str) -> tuple[str, str]:
        links = ["each.item > kept.input"]
        model = await user.save(
            graph([each([0] * REPEATED), node("kept", StoreValue, data=value)], *links)
        )
        return model["id"], str(await user.start(model))

    async def read(graph_id: str, run_id: str, first: int) -> None:
        path = f"/graphs/{graph_id}/executions/{run_id}"
        places = cycle([*range(first, REPEATED, 30), *range(0, first, 30)])

        async def read_one() -> None:
            place = next(places)
            query = f"after={place}&outputs_after={place}"
            await _read(user, f"{path}?{query}", "pages read")

        await over_and_over(read_one)

    async def listen(run_id: str) -> None:
        url = f"ws://{HOST}:{user.port}/ws/{user.user_id}?token={user.token}"
        follow = json.dumps({"type": "subscribe_execution", "execution_id": run_id})

        async def listen_once() -> None:
            try:
                async with connect(url, max_size=None, proxy=None) as socket:
                    await socket.send(follow)
                    async for _ in socket:
                        user.done["messages heard"] += 1
            except (OSError, WebSocketException):
                user.done["sockets closed"] += 1

        await over_and_over(listen_once)

    runs = await asyncio.gather(*map(run, VALUES))
    readers = [read(*one, first=300 * n) for one in runs for n in range(READERS)]
    await asyncio.gather(*readers, *(listen(run_id) for _, run_id in runs))


async def padded_pins(user: Nuisance) -> None:
    """Pins whose paths ask for a thousand places, inside a thousand places: more than they may,
    and again and again as many as they may.
    """
    many = {f"data_$_{number % 1_000}_$_1000_$_{number % 997}": 1 for number in range(PINS)}
    few = {f"data_$_{number}_$_1000_$_1000": 1 for number in range(4)}
    refused = json.dumps({"graph": graph([node("kept", StoreValue, **many)])})
    links = ["each.item > kept.input"]
    padded = await user.save(graph([each([0] * 1_000), node("kept", StoreValue, **few)], *links))

    async def be_refused() -> None:
        answer = await _post(user, refused)
        user.done["paddings refused"] += b"steps in all" in answer.content

    async def pad() -> None:
        await user.watch(padded, lambda page: {"lists padded": _completed(page)})

    await asyncio.gather(over_and_over(be_refused), over_and_over(pad), over_and_over(pad))


async def wrong_links(user: Nuisance) -> None:
    """Thousands of links to a node with thousands of pins, each of them wrong."""
    pins = {f"unknown {number}": 0 for number in range(PINS)}
    links = [f"a.output > a.wrong {number}" for number in range(LINKS)]
    body = json.dumps({"graph": graph([node("a", StoreValue, **pins)], *links)})

    async def post() -> None:
        answer = await _post(user, body)
        is_refusal = answer.status_code == httpx2.codes.BAD_REQUEST and b"wrong 0" in answer.content
        user.done["wrong links named"] += is_refusal and len(answer.content) < ANSWER_BYTES_MAX

    await asyncio.gather(*(over_and_over(post) for _ in range(READERS)))


async def _post(user: Nuisance, body: str) -> httpx2.Response:
    headers = {"Content-Type": "application/json"}
    return await user.http.post("/graphs", content=body, headers=headers)


async def _read(user: Nuisance, path: str, name: str) -> None:
    async with user.http.stream("GET", path) as answer:
        async for part in answer.aiter_raw():
            user.done["bytes read"] += len(part)
        user.done[name if answer.status_code == httpx2.codes.OK else f"{name}: refused"] += 1


def _completed(page: Document) -> int:
    return [one["status"] for one in page["node_executions"]].count("COMPLETED")


STORED = (
    Attack(heavy_graphs, {"graphs stored": 12, "runs started": 6, "graphs read": 6}),
    Attack(repeated_values, {"bytes read": 100_000_000, "messages heard": 20}),
    Attack(padded_pins, {"paddings refused": 4, "lists padded": 100}),
    Attack(wrong_links, {"wrong links named": 8}),
)
