"""What a step costs when much has happened before: a full log against an empty one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.load import preload, submission
from benchmarks.load.closed_loop import Pace
from benchmarks.load.graphs import pure_chain
from benchmarks.load.installation import LOAD, Installation, installation
from benchmarks.measure import Aim

CLIENTS = 32
STEPS = 10
TURNS = 4
"""An even number: who comes first in one turn comes last in the next."""


async def compare(empty: Installation, folder: Path, events: int, seconds: float) -> dict[str, Aim]:
    """Run chains of pure nodes by turns where the log is as good as empty, and where it holds
    `events` of runs that ended long ago. The figures are medians of what the turns have shown.
    """
    print(f"\n{await preload.live(folder, events)}")
    async with installation(folder) as full:
        await submission.sign_up(full)
        paces: dict[Installation, list[Pace]] = {empty: [], full: []}
        order = [empty, full]
        for _ in range(TURNS):
            for site in order:
                paces[site].append(await _run(site, seconds))
            order.reverse()
    without, behind = paces[empty], paces[full]
    _show("an empty log", without)
    _show(f"{events:,} events before", behind)
    pairs = list(zip(behind, without, strict=True))
    rates = median(late.runs_a_second / early.runs_a_second for late, early in pairs)
    costs = median(_cpu_us(late) / _cpu_us(early) for late, early in pairs)
    what = f"with {events:,} events before : with none"
    return {
        f"CPU a step {what}": Aim(costs, 1.1, at_most=True),
        f"node steps/s {what}": Aim(rates, 0.9),
    }


async def _run(site: Installation, seconds: float) -> Pace:
    await site.settle()
    graph = pure_chain(STEPS)
    return await submission.measure(site, graph, steps=STEPS, clients=CLIENTS, seconds=seconds)


def _cpu_us(pace: Pace) -> float:
    """Of a step, in all processes but the load."""
    return sum(cost for name, cost in pace.cpu_us.items() if name != LOAD) / STEPS


def _show(title: str, paces: Sequence[Pace]) -> None:
    rate = STEPS * median(pace.runs_a_second for pace in paces)
    costs = {name: median(pace.cpu_us[name] for pace in paces) / STEPS for name in paces[0].cpu_us}
    shown = ", ".join(f"{name} {cost:,.0f}" for name, cost in costs.items())
    print(f"chain of {STEPS}, pure, {CLIENTS} in flight, {title}: {rate:,.0f} node steps/s")
    print(f"  CPU a step, in microseconds: {median(map(_cpu_us, paces)):,.0f}; {shown}")
