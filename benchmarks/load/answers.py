"""How often the API can answer at all: requests that do next to nothing."""

from __future__ import annotations

import asyncio
from time import perf_counter

from benchmarks.load.client import Connection, request


async def answers_a_second(port: int, *, connections: int, seconds: float) -> float:
    """GET /health/live, which asks nobody, over kept connections."""
    health = request("GET", "/health/live")
    until = perf_counter() + seconds
    answers = 0

    async def ask() -> None:
        nonlocal answers
        connection = await Connection.open(port)
        while perf_counter() < until:
            await connection.send(health)
            answers += 1
        connection.close()

    await asyncio.gather(*(ask() for _ in range(connections)))
    return answers / seconds
