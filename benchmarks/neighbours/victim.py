"""Somebody who has one small agent, and how it goes with that while another one is a nuisance."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import NamedTuple

import msgspec

from benchmarks.load.client import Connection, request
from benchmarks.load.graphs import pure_chain
from benchmarks.load.installation import LOAD, SERVERS, Installation

LOOK_SECONDS = 0.02
ENDED = "COMPLETED"


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
    def __init__(self, site: Installation, token: str) -> None:
        self._site = site
        self._token = token
        self._graph_id = ""

    async def move_in(self) -> None:
        connection = await Connection.open(self._site.port)
        await connection.send(request("POST", "/api/v1/auth/user", self._token))
        body = msgspec.json.encode({"graph": pure_chain(1)})
        saved = await connection.send(request("POST", "/api/v1/graphs", self._token, body))
        self._graph_id = msgspec.json.decode(saved, type=Identified).id
        connection.close()

    async def live(self, seconds: float) -> Felt:
        """Run the agent again and again for so long."""
        felt = Felt([], [], [], {})
        until = perf_counter() + seconds
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._run(until, felt))
            parts.create_task(self._ask_for_health(until, felt))
            parts.create_task(self._watch_memory(until, felt))
        return felt

    async def _run(self, until: float, felt: Felt) -> None:
        path = f"/api/v1/graphs/{self._graph_id}"
        start = request("POST", f"{path}/execute/1", self._token, b"{}")
        connection = await Connection.open(self._site.port)
        while (began := perf_counter()) < until:
            run_id = msgspec.json.decode(await connection.send(start), type=Identified).id
            read = request("GET", f"{path}/executions/{run_id}", self._token)
            status = ""
            while status != ENDED:
                await asyncio.sleep(LOOK_SECONDS)
                asked = perf_counter()
                status = msgspec.json.decode(await connection.send(read), type=Shown).status
                felt.reads.append(perf_counter() - asked)
            felt.runs.append(perf_counter() - began)
        connection.close()

    async def _ask_for_health(self, until: float, felt: Felt) -> None:
        ask = request("GET", "/health/live")
        connection = await Connection.open(self._site.port)
        while (began := perf_counter()) < until:
            await connection.send(ask)
            felt.health.append(perf_counter() - began)
            await asyncio.sleep(0.1)
        connection.close()

    async def _watch_memory(self, until: float, felt: Felt) -> None:
        while perf_counter() < until:
            for name, used in self._site.usage().items():
                if name not in {*SERVERS, LOAD}:
                    most = max(used.memory_bytes, felt.memory_bytes.get(name, 0))
                    felt.memory_bytes[name] = most
            await asyncio.sleep(0.5)
