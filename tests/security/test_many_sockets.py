"""S51: a user with many sockets is one user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from statistics import median

import httpx2
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from domain.limits import socket_limits
from runtime import clock, ids
from runtime.secrets import sign_token
from tests.support.api import Caller, Saved, answered
from tests.support.cluster import HOST, Cluster
from tests.support.graphs import echo

SECONDS = 5.0
HEALTH_SECONDS_MAX, READ_SECONDS_MAX, RUN_SECONDS_MAX = 0.2, 0.2, 1.0
"""Half of what somebody else asks for has to be answered so soon."""


class Flood:
    """Somebody who has as many sockets as one may, and asks over each as fast as it takes."""

    def __init__(self, cluster: Cluster, caller: Caller, graph: Saved, run_id: str) -> None:
        token = caller.headers["Authorization"].removeprefix("Bearer ")
        port = cluster.settings.port
        self._url = f"ws://{HOST}:{port}/ws/{caller.user_id}?token={token}"
        asked = [
            {"type": "subscribe_execution", "execution_id": run_id},
            {"type": "graph_update", "graph_id": graph.graph_id},
            {"type": "execution_status", "execution_id": run_id},
        ]
        self._asked = [msgspec.json.encode(message).decode() for message in asked]
        self.answers = 0

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        sockets = range(socket_limits.SOCKETS_PER_USER_MAX)
        tasks = [asyncio.create_task(self._flood()) for _ in sockets]
        try:
            yield
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _flood(self) -> None:
        """For ever; who is closed comes again."""
        while True:
            with suppress(WebSocketException, OSError):
                async with connect(self._url, proxy=None, compression=None) as socket:
                    hearing = asyncio.create_task(self._hear(socket))
                    try:
                        while not hearing.done():
                            for message in self._asked:
                                await socket.send(message)
                            await asyncio.sleep(0)
                    finally:
                        hearing.cancel()
                        socket.transport.abort()

    async def _hear(self, socket: ClientConnection) -> None:
        async for message in socket:
            kind = msgspec.json.decode(message)["type"]
            self.answers += kind in {"subscription_confirmed", "graph_update_response"}
            self.answers += kind == "execution_status_response"


async def seconds(ask: Callable[[], Awaitable[object]]) -> float:
    began = clock.monotonic()
    await ask()
    return clock.monotonic() - began


@pytest.mark.holds("S51")
async def test_many_sockets_ask_no_faster_than_few(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, {})
    async with (
        cluster.running(),
        httpx2.AsyncClient(base_url=cluster.url, trust_env=False) as http,
    ):

        async def user() -> tuple[Caller, Saved, str]:
            own_id = ids.new_id()
            token = sign_token(cluster.settings, user_id=own_id, email="user@example.com")
            caller = Caller(http, own_id, token)
            answered(await caller.post("/api/v1/auth/user"))
            graph = await caller.save(echo())
            run_id = await caller.start(graph)
            await caller.ended(graph, run_id)
            return caller, graph, run_id

        other, graph, run_id = await user()

        async def run() -> None:
            await other.ended(graph, await other.start(graph))

        health, reads, runs = [], [], []
        flood = Flood(cluster, *await user())
        began = clock.monotonic()
        async with flood.going_on():
            while clock.monotonic() - began < SECONDS:
                health.append(await seconds(lambda: http.get("/health")))
                reads.append(await seconds(lambda: other.see(graph, run_id)))
                runs.append(await seconds(run))
        elapsed = clock.monotonic() - began
    allowed = socket_limits.SOCKET_USER_MESSAGES_PER_SECOND * elapsed
    assert 0 < flood.answers <= socket_limits.SOCKET_USER_MESSAGES_BURST + allowed
    assert median(health) < HEALTH_SECONDS_MAX
    assert median(reads) < READ_SECONDS_MAX
    assert median(runs) < RUN_SECONDS_MAX
