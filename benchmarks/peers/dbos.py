"""DBOS: workflows whose steps are each recorded in PostgreSQL before the next one begins.

They are called directly: nothing waits in a queue, and no handle has to be asked for an end.
Chains are plain functions in threads, which are cheaper there than coroutines; only coroutines
have steps at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from dbos import DBOS, DBOSConfig

from benchmarks.peers.task import Chain, Fan, RunOnce, Task, serve


def _add_one(value: int) -> int:
    return value + 1


async def _add_one_aside(value: int) -> int:
    return value + 1


async def _add_up(values: list[int]) -> int:
    return sum(values)


add_one = DBOS.step()(_add_one)
add_one_aside = DBOS.step()(_add_one_aside)
add_up = DBOS.step()(_add_up)


def _chain(length: int) -> int:
    value = 0
    for _ in range(length):
        value = add_one(value)
    return value


async def _fan(width: int) -> int:
    value = await add_one_aside(0)
    values = await asyncio.gather(*(add_one_aside(value) for _ in range(width)))
    total: int = await add_up(values)
    return total


chain = DBOS.workflow()(_chain)
fan = DBOS.workflow()(_fan)


@asynccontextmanager
async def peer(task: Task) -> AsyncIterator[RunOnce]:
    DBOS(config=DBOSConfig(name="peer", system_database_url=task.database_url, log_level="ERROR"))
    DBOS.launch()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(task.clients) as threads:

        async def run_once(_client: int) -> int:
            result: int
            match task.shape:
                case Chain(length):
                    result = await loop.run_in_executor(threads, chain, length)
                case Fan(width):
                    result = await fan(width)
            return result

        yield run_once
    DBOS.destroy()


if __name__ == "__main__":
    serve(peer)
