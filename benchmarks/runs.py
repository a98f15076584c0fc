"""Runs, submitted over HTTP to a whole installation and followed to their end.

Everything shares this machine: the API, the workers, PostgreSQL with fsync on, NATS, and the load
itself. As many runs as clients are in flight; a client submits its next run when its last one has
ended. Latency is from just before the request is written until the load has seen the run's end in
the log. A pure node's result is durable together with what follows it; a node that acts on the
world has its own intent, and the result of the node before it, on disk before it begins.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import uvloop

from benchmarks import history, pgbench, server
from benchmarks.load import graphs, submission
from benchmarks.load.answers import answers_a_second
from benchmarks.load.closed_loop import Pace
from benchmarks.load.graphs import Graph
from benchmarks.load.installation import Installation, installation, of_ours
from benchmarks.measure import Aim, print_aims

EMPTY, FULL = "empty", "full"
CLIENTS = 32
LIMIT_SECONDS = 2.0


class Workload(NamedTuple):
    graph: Graph
    steps: int
    """Node executions of one run."""
    clients: int = CLIENTS


ONE, ONE_EFFECT = "one node, pure", "one node, effectful"
CHAIN, CHAIN_EFFECT = "chain of 10, pure", "chain of 10, effectful"
FAN = "1 -> 50 -> 1, effectful"
ALONE, ALONE_EFFECT = "chain of 10, pure, alone", "chain of 10, effectful, alone"

WORKLOADS = {
    ONE: Workload(graphs.pure_chain(1), 1),
    ONE_EFFECT: Workload(graphs.effect_chain(1), 1),
    CHAIN: Workload(graphs.pure_chain(10), 10),
    CHAIN_EFFECT: Workload(graphs.effect_chain(10), 10),
    FAN: Workload(graphs.effect_fan(50), 52),
    ALONE: Workload(graphs.pure_chain(10), 10, clients=1),
    ALONE_EFFECT: Workload(graphs.effect_chain(10), 10, clients=1),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks runs", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each workload lasts")
    parser.add_argument(
        "--history",
        type=int,
        default=0,
        metavar="EVENTS",
        help="compare an empty log with one that holds so many events",
    )
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="evergraph-benchmark-") as name:
        folder = Path(name)
        # The servers run as another user, who must be able to pass.
        folder.chmod(0o711)
        for installed in (folder / EMPTY, folder / FULL):
            installed.mkdir(mode=0o711)
        uvloop.run(_measure(folder, arguments.seconds, arguments.history))
    return 0


async def _measure(folder: Path, seconds: float, events: int) -> None:
    async with installation(folder / EMPTY) as site:
        print(await server.circumstances(site.database_url))
        inserts = await _show_limits(site)
        await submission.sign_up(site)
        paces = {name: await _run(site, name, seconds, inserts) for name in WORKLOADS}
        _show_memory(paces[CHAIN_EFFECT])
        aims = _aims(paces)
        if events:
            aims |= await history.compare(site, folder / FULL, events, seconds)
    print_aims(aims)


async def _show_limits(site: Installation) -> float:
    """One-row commits a second, by which node steps are told."""
    await pgbench.prepare(site.database_url)
    inserts = (await pgbench.insert(site.database_url, rows=1, clients=CLIENTS)).rate
    answers = await answers_a_second(site.port, connections=CLIENTS, seconds=LIMIT_SECONDS)
    print(
        f"The machine: {inserts:,.0f} one-row commits/s (pgbench, {CLIENTS} clients),\n"
        f"             {answers:,.0f} GET /health/live a second ({CLIENTS} connections)\n"
    )
    return inserts


async def _run(site: Installation, name: str, seconds: float, inserts: float) -> Pace:
    graph, steps, clients = WORKLOADS[name]
    await site.settle()
    pace = await submission.measure(site, graph, steps=steps, clients=clients, seconds=seconds)
    done = pace.runs_a_second * steps
    print(
        f"{name}, {clients} in flight\n"
        f"  {pace.runs_a_second:,.0f} runs/s, {done:,.0f} node steps/s"
        f" ({done / inserts:.2f} of the one-row commits)\n"
        f"  submitted to completed: p50 {1e3 * pace.p50:.1f} ms, p95 {1e3 * pace.p95:.1f} ms"
    )
    costs = sorted(pace.cpu_us.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{process} {cost:,.0f}" for process, cost in costs if cost >= 1)
    print(f"  CPU a run, in microseconds: {shown}\n")
    return pace


def _show_memory(pace: Pace) -> None:
    used = {name: memory / 1e6 for name, memory in pace.memory_bytes.items()}
    shown = ", ".join(f"{name} {megabytes:.0f}" for name, megabytes in used.items())
    print(f"Memory under {CHAIN_EFFECT}, in MB, shared pages divided: {shown}")


def _aims(paces: Mapping[str, Pace]) -> dict[str, Aim]:
    memory = max(of_ours(pace.memory_bytes) for pace in paces.values())
    steps = {name: paces[name].runs_a_second * load.steps for name, load in WORKLOADS.items()}
    return {
        f"{ONE}, runs/s": Aim(paces[ONE].runs_a_second, 1_000),
        f"{ONE_EFFECT}, runs/s": Aim(paces[ONE_EFFECT].runs_a_second, 1_000),
        f"{CHAIN}, node steps/s": Aim(steps[CHAIN], 20_000),
        f"{CHAIN_EFFECT}, node steps/s": Aim(steps[CHAIN_EFFECT], 10_000),
        f"{FAN}, node steps/s": Aim(steps[FAN], 10_000),
        f"{ALONE}, p50 in ms": Aim(1e3 * paces[ALONE].p50, 5, at_most=True),
        f"{ALONE_EFFECT}, p50 in ms": Aim(1e3 * paces[ALONE_EFFECT].p50, 6, at_most=True),
        "memory of our processes at the most, MB": Aim(memory / 1e6, 280, at_most=True),
    }
