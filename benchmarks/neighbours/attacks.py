"""The attacks, each for ever: what it takes, and the finding of the security review behind it.

Names whose server never answers are not among them: that needs a resolver which keeps silent, and
`tests/runtime/egress` has one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from benchmarks.load.installation import HOST
from benchmarks.neighbours.nuisance import Nuisance, graph, link, node
from blocks.agents import AgentExecutor
from blocks.data import StoreValue
from blocks.logic import StepThroughItems
from blocks.text import FillTextTemplate
from blocks.web import SendWebRequest

Attack = Callable[[Nuisance], Awaitable[None]]

HEAVY_GRAPHS = 45
HEAVY_VALUE = "[" + ",".join(["[]"] * 1_300_000) + "]"
READERS = 6
LEVELS = 4


async def hard_answers(user: Nuisance) -> None:
    """Answers that claim a charset which takes minutes, or a header that is read in square time."""
    nodes = [
        node(f"{path} {number}", SendWebRequest, url=f"{user.service}/{path}", method="GET")
        for path in ("charset", "parameters")
        for number in range(5)
    ]
    await user.run_over_and_over(graph(nodes), pause_seconds=0.5)


async def heavy_graphs(user: Nuisance) -> None:
    """Graphs of few bytes that are a gigabyte of values once they are decoded."""
    small = json.dumps({"graph": graph([node("a", StoreValue, input="HEAVY")])})
    body = small.replace('"HEAVY"', HEAVY_VALUE)
    headers = {"Content-Type": "application/json"}
    graph_ids: list[str] = []
    while True:
        answer = await user.http.post("/graphs", content=body, headers=headers)
        if answer.status_code == httpx2.codes.OK and len(graph_ids) < HEAVY_GRAPHS:
            graph_ids.append(answer.json()["id"])
        for graph_id in graph_ids[-3:]:
            await user.start(graph_id)
        await asyncio.sleep(0.1)


async def repeated_values(user: Nuisance) -> None:
    """A run that hands on one large value 1,500 times, read by several at once."""
    value = "x" * 1_000_000
    model = await user.save(
        graph(
            [
                node("items", StepThroughItems, items=[0] * 1_500),
                node("kept", StoreValue, data=value),
            ],
            [link("items.item", "kept.input")],
        )
    )
    run_id = await user.start(model["id"])
    path = f"/graphs/{model['id']}/executions/{run_id}"

    async def read() -> None:
        while True:
            async with user.http.stream("GET", path) as answer:
                async for _ in answer.aiter_raw():
                    pass
            await asyncio.sleep(0.05)

    await asyncio.gather(*(read() for _ in range(READERS)))


async def padded_pins(user: Nuisance) -> None:
    """Pins whose paths ask for a thousand places, inside a thousand places."""
    pins = {f"data_$_{number}_$_1000_$_1000": 1 for number in range(15_000)}
    await _post_for_ever(user, {"graph": graph([node("a", StoreValue, **pins)])})


async def wrong_links(user: Nuisance) -> None:
    """Thousands of links to a node with a hundred thousand pins, each of them wrong."""
    pins = {f"unknown {number}": 0 for number in range(100_000)}
    links = [link("a.output", f"a.wrong {number}") for number in range(5_000)]
    await _post_for_ever(user, {"graph": graph([node("a", StoreValue, **pins)], links)})


async def slow_templates(user: Nuisance) -> None:
    """Templates that compute until they are stopped."""
    endless = "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}"
    nodes = [node(f"{n}", FillTextTemplate, values={}, format=endless) for n in range(60)]
    await user.run_over_and_over(graph(nodes))


async def deep_graphs(user: Nuisance) -> None:
    """Ten sub-graphs, each of which has ten sub-graphs, each of which …"""
    model = await user.save(graph([node("leaf", StoreValue, input=1)]))
    for _ in range(LEVELS):
        ten = [
            node(
                f"{number}",
                AgentExecutor,
                graph_id=model["id"],
                graph_version=1,
                input_schema=model["input_schema"],
                output_schema=model["output_schema"],
            )
            for number in range(10)
        ]
        model = await user.save(graph(ten))
    while True:
        await user.start(model["id"])
        await asyncio.sleep(0.5)


async def endless_retries(user: Nuisance) -> None:
    """Requests that are repeated as often and as soon as a policy can say."""
    policy = {"retries": {"attempts": 100, "first_seconds": 0.25, "factor": 1}}
    nodes = [
        {
            **node(f"{number}", SendWebRequest, url=f"{user.service}/refusal"),
            "metadata": {"policy": policy},
        }
        for number in range(10)
    ]
    await user.run_over_and_over(graph(nodes))


async def unfinished_requests(user: Nuisance) -> None:
    """Connections without a token that begin a request and never end it, and huge heads."""

    async def hold() -> None:
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, user.port)
                writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ")
                with suppress(OSError):
                    for _ in range(60):
                        writer.write(b"x")
                        await writer.drain()
                        await asyncio.sleep(1)
                writer.close()
            await asyncio.sleep(0.1)

    async def send_headers() -> None:
        headers = b"".join(b"X-%d: 1\r\n" % number for number in range(100_000))
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, user.port)
                writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + headers)
                with suppress(OSError):
                    await writer.drain()
                writer.close()
            await asyncio.sleep(0.1)

    await asyncio.gather(send_headers(), *(hold() for _ in range(150)))


async def flooded_sockets(user: Nuisance) -> None:
    """Sockets that say more than anybody has to say."""
    url = f"ws://{HOST}:{user.port}/ws/{user.user_id}?token={user.token}"

    async def flood() -> None:
        while True:
            with suppress(OSError, WebSocketException):
                async with connect(url) as socket:
                    while True:
                        await socket.send('{"type":"ping"}')
            await asyncio.sleep(0.1)

    await asyncio.gather(*(flood() for _ in range(8)))


async def _post_for_ever(user: Nuisance, document: object) -> None:
    body = json.dumps(document)
    while True:
        await user.http.post("/graphs", content=body, headers={"Content-Type": "application/json"})
        await asyncio.sleep(0.05)


ATTACKS: Mapping[str, Attack] = {
    attack.__name__.replace("_", " "): attack
    for attack in (
        hard_answers,
        heavy_graphs,
        repeated_values,
        padded_pins,
        wrong_links,
        slow_templates,
        deep_graphs,
        endless_retries,
        unfinished_requests,
        flooded_sockets,
    )
}
