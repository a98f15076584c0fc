"""A peer in processes of its own, which carry a load together."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from benchmarks.load import plugin
from benchmarks.load.closed_loop import Pace
from benchmarks.peers.task import ITSELF, SERVER, Task
from runtime import settings


class Peer(NamedTuple):
    module: str
    processes: int
    """With so many it is fastest; a load of fewer clients gets one process a client."""


async def run(peer: Peer, task: Task) -> Pace:
    """Share the clients out among new processes. Raises RuntimeError when one of them fails."""
    processes = min(peer.processes, task.clients)
    share = msgspec.structs.replace(task, clients=task.clients // processes)
    paces = await asyncio.gather(*(_run_one(peer.module, share) for _ in range(processes)))
    return _together(paces)


async def _run_one(module: str, task: Task) -> Pace:
    """The last line of its output is what it measured."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, msgspec.json.encode(task).decode()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=settings.environment(PYTHONPATH=str(plugin.ROOT)),
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{module} ended with {process.returncode}")
    return msgspec.json.decode(output.splitlines()[-1], type=Pace)


def _together(paces: Sequence[Pace]) -> Pace:
    """Of processes that had equal shares at the same time, so each saw all of the server's work."""
    rate = sum(pace.runs_a_second for pace in paces)

    def cpu_a_second(name: str) -> float:
        return sum(pace.runs_a_second * pace.cpu_us[name] for pace in paces)

    return Pace(
        runs_a_second=rate,
        p50=sum(pace.p50 for pace in paces) / len(paces),
        p95=sum(pace.p95 for pace in paces) / len(paces),
        cpu_us={
            ITSELF: cpu_a_second(ITSELF) / rate,
            SERVER: cpu_a_second(SERVER) / rate / len(paces),
        },
        memory_bytes={
            ITSELF: sum(pace.memory_bytes[ITSELF] for pace in paces),
            SERVER: max(pace.memory_bytes[SERVER] for pace in paces),
        },
    )
