"""Runs, submitted over HTTP to a whole installation and followed to their end.

Everything shares this machine: the API, the workers, PostgreSQL with fsync on, NATS, and the load
itself. As many runs as lanes are in flight; a lane submits its next run when its last one has
ended. Latency is from just before the request is written until the run's end, by the time that
the log gives it. A pure node's result is durable together with what follows it; a node that acts
on the world has a durable write of its own, before it begins.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from time import perf_counter, time
from typing import NamedTuple

import msgspec
import uvloop

from benchmarks import pgbench
from benchmarks.load import graphs
from benchmarks.load.answers import answers_a_second
from benchmarks.load.client import Connection, request
from benchmarks.load.completions import Completions
from benchmarks.load.echo import echo
from benchmarks.load.graphs import Graph
from benchmarks.load.installation import (
    HOST,
    Installation,
    Usage,
    installation,
    own_cpu_seconds,
)

LANES = 32
WARM_UP_SECONDS = 1.0
LIMIT_SECONDS = 2.0


class Workload(NamedTuple):
    name: str
    graph: Graph
    steps: int
    """Node executions of one run."""
    lanes: int = LANES


class Result(NamedTuple):
    runs_a_second: float
    latencies: Sequence[float]
    """Of each run, in seconds."""
    cpu: dict[str, float]
    """Microseconds a run, by process."""
    usage: dict[str, Usage]


class Identified(msgspec.Struct):
    id: str


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks runs", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each workload lasts")
    seconds: float = parser.parse_args(argv).seconds
    with tempfile.TemporaryDirectory(prefix="evergraph-benchmark-") as folder:
        # The servers run as another user, who must be able to pass.
        Path(folder).chmod(0o711)
        uvloop.run(_measure(Path(folder), seconds))
    return 0


async def _measure(folder: Path, seconds: float) -> None:
    async with (
        installation(folder, _free_port()) as site,
        echo() as url,
        Completions(site.database_url) as completions,
    ):
        await pgbench.prepare(site.database_url)
        inserts = (await pgbench.insert(site.database_url, rows=1, clients=LANES)).rate
        answers = await answers_a_second(site.port, connections=LANES, seconds=LIMIT_SECONDS)
        print(f"The machine: {inserts:,.0f} one-row commits/s (pgbench, {LANES} clients),")
        print(f"             {answers:,.0f} GET /health/s ({LANES} connections)\n")
        await _post(site, "/auth/user")
        for workload in _workloads(url):
            result = await _run(site, completions, workload, seconds)
            _show(workload, result, inserts)
        _show_memory(result.usage)


def _workloads(echo_url: str) -> list[Workload]:
    return [
        Workload("one node", graphs.pure_chain(1), 1),
        Workload("chain of 10, pure", graphs.pure_chain(10), 10),
        Workload("chain of 10, acting on the world", graphs.effect_chain(10, echo_url), 10),
        Workload("1 -> 50 -> 50 collected", graphs.fan_out(50), 101),
        Workload("chain of 10, pure, alone", graphs.pure_chain(10), 10, lanes=1),
    ]


async def _run(
    site: Installation, completions: Completions, workload: Workload, seconds: float
) -> Result:
    saved = await _post(site, "/graphs", msgspec.json.encode({"graph": workload.graph}))
    start = request("POST", f"/api/v1/graphs/{saved.id}/execute/1", site.token, b"{}")
    decode = msgspec.json.Decoder(Identified).decode
    begin = perf_counter() + WARM_UP_SECONDS
    end = begin + seconds
    latencies: list[float] = []

    async def lane() -> None:
        connection = await Connection.open(site.port)
        while (now := perf_counter()) < end:
            submitted = time()
            accepted = decode(await connection.send(start))
            completed = await completions.of(accepted.id)
            if begin <= now and perf_counter() <= end:
                latencies.append(completed - submitted)
        connection.close()

    lanes = asyncio.gather(*(lane() for _ in range(workload.lanes)))
    await asyncio.sleep(WARM_UP_SECONDS)
    before, own_before = site.usage(), own_cpu_seconds()
    await asyncio.sleep(end - perf_counter())
    after, own_after = site.usage(), own_cpu_seconds()
    await lanes
    used = {name: after[name].cpu_seconds - before[name].cpu_seconds for name in after}
    used["this load"] = own_after - own_before
    runs = len(latencies)
    cpu = {name: 1e6 * spent / runs for name, spent in used.items()}
    return Result(runs / seconds, latencies, cpu, after)


async def _post(site: Installation, path: str, body: bytes = b"") -> Identified:
    connection = await Connection.open(site.port)
    try:
        answer = await connection.send(request("POST", f"/api/v1{path}", site.token, body))
    finally:
        connection.close()
    return msgspec.json.decode(answer, type=Identified)


def _show(workload: Workload, result: Result, inserts: float) -> None:
    steps = result.runs_a_second * workload.steps
    cuts = quantiles(result.latencies, n=20)
    print(
        f"{workload.name}, {workload.lanes} in flight\n"
        f"  {result.runs_a_second:,.0f} runs/s, {steps:,.0f} node steps/s"
        f" ({steps / inserts:.2f} of the one-row commits)\n"
        f"  submitted to completed: p50 {1e3 * cuts[9]:.1f} ms, p95 {1e3 * cuts[18]:.1f} ms"
    )
    costs = sorted(result.cpu.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {cost:,.0f}" for name, cost in costs if cost >= 1)
    print(f"  CPU a run, in microseconds: {shown}\n")


def _show_memory(usage: dict[str, Usage]) -> None:
    total = sum(used.memory_bytes for used in usage.values())
    shown = ", ".join(f"{name} {used.memory_bytes >> 20}" for name, used in usage.items())
    print(f"Memory in MiB, shared pages divided: {total >> 20} in all; {shown}")


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
