"""So many runs in flight for a while: how fast they went, and what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from statistics import quantiles
from time import perf_counter

import msgspec

from benchmarks.load.processes import Usage

WARM_UP_SECONDS = 1.0

Run = Callable[[int], Awaitable[None]]
"""Runs once, on the client of a number, and returns when the run has ended."""
Meter = Callable[[], dict[str, Usage]]
"""What each process used until now, by name."""


class Pace(msgspec.Struct, frozen=True):
    """Times are in seconds, from just before a run is asked for until its end is known."""

    runs_a_second: float
    p50: float
    p95: float
    cpu_us: dict[str, float]
    """Microseconds of CPU a run, by process."""
    memory_bytes: dict[str, int]
    """At the end of the time, with everything still in flight; by process."""


async def keep_in_flight(run: Run, meter: Meter, *, clients: int, seconds: float) -> Pace:
    """Each client runs again as soon as its last run has ended; `seconds` count after a warm-up.

    A run that is partly in that time counts in part. So that the last ones meet no less of a
    crowd than all others, the clients stay busy until everything begun in that time has ended.
    """
    begin = perf_counter() + WARM_UP_SECONDS
    end = begin + seconds
    spans: list[tuple[float, float]] = []
    awaited = 0

    async def client(number: int) -> None:
        nonlocal awaited
        while (began := perf_counter()) < end or awaited:
            is_awaited = began < end
            awaited += is_awaited
            await run(number)
            awaited -= is_awaited
            spans.append((began, perf_counter()))

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(client(number))
        await asyncio.sleep(begin - perf_counter())
        before = meter()
        await asyncio.sleep(end - perf_counter())
        after = meter()
    inside = [span for span in spans if span[0] < end and span[1] > begin]
    return _pace(inside, begin, end, before, after)


def _pace(
    spans: Sequence[tuple[float, float]],
    begin: float,
    end: float,
    before: dict[str, Usage],
    after: dict[str, Usage],
) -> Pace:
    runs = sum((min(last, end) - max(first, begin)) / (last - first) for first, last in spans)
    cuts = quantiles((last - first for first, last in spans), n=20, method="inclusive")
    return Pace(
        runs_a_second=runs / (end - begin),
        p50=cuts[9],
        p95=cuts[18],
        cpu_us={
            name: 1e6 * (used.cpu_seconds - before[name].cpu_seconds) / runs
            for name, used in after.items()
        },
        memory_bytes={name: used.memory_bytes for name, used in after.items()},
    )
