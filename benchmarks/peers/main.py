"""The same graphs on Evergraph and on others that make every step durable.

All of them in one run, on one disk with fsync on, and by turns: whatever else the machine does
meets them all. Each node is an effect that does nothing, and what it made is durable before the
next one begins. A run of Evergraph is submitted over HTTP to a whole installation. LangGraph and
DBOS are libraries over PostgreSQL, each in a database of its own of one server: they are called
inside the process that makes the load. Restate is a server with a store of its own, over HTTP too.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import uvloop

from benchmarks import server
from benchmarks.load import graphs, submission
from benchmarks.load.closed_loop import Pace
from benchmarks.load.installation import LOAD, Installation, installation, of_ours
from benchmarks.measure import RUNS
from benchmarks.peers import process, restate_server
from benchmarks.peers.process import Peer
from benchmarks.peers.task import ITSELF, SERVER, Chain, Fan, Shape, Task

RESTATE = "restate"
PEERS = {
    "langgraph": Peer("benchmarks.peers.langgraph", processes=2),
    "dbos": Peer("benchmarks.peers.dbos", processes=1),
    RESTATE: Peer("benchmarks.peers.restate", processes=1),
}
PACKAGES = ("langgraph", "langgraph-checkpoint-postgres", "dbos", "restate-sdk", "hypercorn")
EVERGRAPH = "evergraph"
LEGEND = """\
CPU: microseconds a run; SQL: the same of PostgreSQL. MB: memory, without that of PostgreSQL and
NATS. A peer's figures hold the cost of the load, and Restate's that of its store. Ratios are of
runs/s, and of p50 where a run is alone."""


class Workload(NamedTuple):
    shape: Shape
    clients: int


Contender: TypeAlias = Callable[[Workload], Awaitable[Pace]]

ALONE = "chain of 10, alone"
WORKLOADS = {
    "chain of 10, 32 in flight": Workload(Chain(10), 32),
    "1 -> 50 -> 1, 32 in flight": Workload(Fan(50), 32),
    "one node, 32 in flight": Workload(Chain(1), 32),
    ALONE: Workload(Chain(10), 1),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks peers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each turn lasts")
    seconds: float = parser.parse_args(argv).seconds
    try:
        versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    except importlib.metadata.PackageNotFoundError as missing:
        sys.stderr.write(f"{missing.name} is missing: pip install --editable '.[benchmarks]'\n")
        return 2
    print(", ".join(f"{package} {version}" for package, version in versions.items()))
    with tempfile.TemporaryDirectory(prefix="evergraph-benchmark-") as folder:
        # The servers run as another user, who must be able to pass.
        Path(folder).chmod(0o711)
        uvloop.run(_compare(Path(folder), seconds, _available()))
    return 0


def _available() -> dict[str, Peer]:
    """Those whose servers are there; of the others it is said how to get them."""
    found = restate_server.version()
    if found is not None:
        print(found)
        return PEERS
    install = f"npm install --ignore-scripts --prefix {sys.prefix} {restate_server.PACKAGE}"
    print(f"{RESTATE} is not available, for lack of its server: {install}")
    return {name: peer for name, peer in PEERS.items() if name != RESTATE}


async def _compare(folder: Path, seconds: float, peers: Mapping[str, Peer]) -> None:
    async with installation(folder) as site:
        print(await server.circumstances(site.database_url))
        print(LEGEND)
        await submission.sign_up(site)
        contenders: dict[str, Contender] = {EVERGRAPH: partial(_run_ours, site, seconds)}
        for name, peer in peers.items():
            url = await server.create_database(site.database_url, name)
            contenders[name] = partial(_run_peer, peer, url, site.pids[SERVER], seconds)
            # Now it makes its tables; two processes that both did would trip over each other.
            await contenders[name](WORKLOADS[ALONE])
        for title, workload in WORKLOADS.items():
            _show(title, workload, await _alternate(site, contenders, workload))


async def _alternate(
    site: Installation, contenders: Mapping[str, Contender], workload: Workload
) -> dict[str, Pace]:
    """Of each contender the turn with the middle rate."""
    turns: dict[str, list[Pace]] = {name: [] for name in contenders}
    for _ in range(RUNS):
        for name, contender in contenders.items():
            await site.settle()
            turns[name].append(await contender(workload))
    return {
        name: sorted(paces, key=lambda pace: pace.runs_a_second)[RUNS // 2]
        for name, paces in turns.items()
    }


async def _run_ours(site: Installation, seconds: float, workload: Workload) -> Pace:
    match workload.shape:
        case Chain(length):
            graph = graphs.effect_chain(length)
        case Fan(width):
            graph = graphs.effect_fan(width)
    steps, clients = workload.shape.steps, workload.clients
    return await submission.measure(site, graph, steps=steps, clients=clients, seconds=seconds)


async def _run_peer(
    peer: Peer, url: str, server_pid: int, seconds: float, workload: Workload
) -> Pace:
    task = Task(workload.shape, workload.clients, seconds, url, server_pid)
    return await process.run(peer, task)


def _show(name: str, workload: Workload, paces: Mapping[str, Pace]) -> None:
    ours = paces[EVERGRAPH]
    print(f"\n{name:<28}{'runs/s':>8}{'steps/s':>9}{'p50 ms':>9}{'CPU':>9}{'SQL':>9}{'MB':>6}")
    print("-" * 78)
    for contender, pace in paces.items():
        rate = pace.runs_a_second
        is_ours = contender == EVERGRAPH
        sql_cpu = pace.cpu_us[SERVER]
        cpu = sum(spent for who, spent in pace.cpu_us.items() if who not in {LOAD, SERVER})
        memory = of_ours(pace.memory_bytes) if is_ours else pace.memory_bytes[ITSELF]
        ratio = pace.p50 / ours.p50 if workload.clients == 1 else ours.runs_a_second / rate
        print(
            f"{contender:<28}{rate:>8,.0f}{rate * workload.shape.steps:>9,.0f}"
            f"{1e3 * pace.p50:>9,.1f}{cpu:>9,.0f}{sql_cpu:>9,.0f}{memory / 1e6:>6,.0f}"
            + ("" if is_ours else f"   {EVERGRAPH} : it = {ratio:.1f}")
        )
