"""Somebody who has one small agent, and how it goes with that while another one is a nuisance."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from benchmarks.load.client import Connection, request
from benchmarks.load.installation import LOAD, SERVERS, Installation

LOOK_SECONDS = 0.02
HEALTH_SECONDS = 0.05
MEMORY_SECONDS = 0.25
RUN_PATIENCE_SECONDS = 60.0
ENDED = "COMPLETED"
UNDER_WAY = {"QUEUED", "RUNNING"}


class Identified(msgspec.Struct):
    id: str


class Shown(msgspec.Struct):
    status: str


class Felt(NamedTuple):
    """Seconds that each thing took, and the most bytes that one of our processes had."""

    runs: list[float]
    reads: list[float]
    health: list[float]
    memory_bytes: dict[str, int]


class Victim:
    """`agent` is the graph that they run."""

    def __init__(self, site: Installation, token: str, agent: Mapping[str, Any]) -> None:
        self._site = site
        self._token = token
        self._agent = agent
        self._graph_id = ""

    async def live(self, seconds: float) -> Felt:
        """Move in, and run the agent again and again for so long."""
        await self._move_in()
        felt = Felt([], [], [], {})
        until = perf_counter() + seconds
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._run(until, felt))
            parts.create_task(self._ask_for_health(until, felt))
            parts.create_task(self._watch_memory(until, felt))
        return felt

    async def _move_in(self) -> None:
        connection = await Connection.open(self._site.port)
        await connection.send(request("POST", "/api/v1/auth/user", self._token))
        body = msgspec.json.encode({"graph": self._agent})
        saved = await connection.send(request("POST", "/api/v1/graphs", self._token, body))
        self._graph_id = msgspec.json.decode(saved, type=Identified).id
        connection.close()

    async def _run(self, until: float, felt: Felt) -> None:
        connection = await Connection.open(self._site.port)
        while (began := perf_counter()) < until:
            async with asyncio.timeout(RUN_PATIENCE_SECONDS):
                await self._run_once(connection, felt)
            felt.runs.append(perf_counter() - began)
        connection.close()

    async def _run_once(self, connection: Connection, felt: Felt) -> None:
        path = f"/api/v1/graphs/{self._graph_id}"
        start = request("POST", f"{path}/execute/1", self._token, b"{}")
        run_id = msgspec.json.decode(await connection.send(start), type=Identified).id
        read = request("GET", f"{path}/executions/{run_id}", self._token)
        status = "QUEUED"
        while status in UNDER_WAY:
            await asyncio.sleep(LOOK_SECONDS)
            asked = perf_counter()
            status = msgspec.json.decode(await connection.send(read), type=Shown).status
            felt.reads.append(perf_counter() - asked)
        if status != ENDED:
            raise RuntimeError(f"the victim's run {run_id} ended as {status}")

    async def _ask_for_health(self, until: float, felt: Felt) -> None:
        ask = request("GET", "/health/live")
        connection = await Connection.open(self._site.port)
        while (began := perf_counter()) < until:
            await connection.send(ask)
            felt.health.append(perf_counter() - began)
            await asyncio.sleep(HEALTH_SECONDS)
        connection.close()

    async def _watch_memory(self, until: float, felt: Felt) -> None:
        while perf_counter() < until:
            for name, used in self._site.usage().items():
                if name not in {*SERVERS, LOAD}:
                    most = max(used.memory_bytes, felt.memory_bytes.get(name, 0))
                    felt.memory_bytes[name] = most
            await asyncio.sleep(MEMORY_SECONDS)
