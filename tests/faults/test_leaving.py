"""An executor that is told to end: what is quick ends with it, and others go on at once."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from domain.limits import worker_limits
from domain.runs import RunClaimed, RunSuspended
from tests.faults.graphs import EFFECT
from tests.faults.scene import Scene
from tests.support.run_rules import Fact

RUNS = 16
SOON = timedelta(seconds=worker_limits.LEASE_SECONDS)
COUNT_LEASES = "SELECT count(*) FROM work.leases WHERE name = %s"


async def test_what_is_at_work_ends_and_others_take_over(bare: Scene) -> None:
    """Nothing is repeated, and nobody has to wait for a lease to run out."""
    async with bare.cluster.beside("executor", "leaver") as leaver:
        with bare.effects.held():
            batch = await bare.start([EFFECT] * 10, RUNS)
            await bare.effects.asked(RUNS)
            async with bare.cluster.beside("executor", "successor") as successor:
                await successor.logs("executor.ready")
                leaver.send(signal.SIGTERM)
                bare.effects.release()
                assert await leaver.ended() == 0
                assert await bare.row(COUNT_LEASES, "leaver") == (0,)
                await bare.settle(batch)
    found = await bare.figures(batch)
    assert (found.in_flight, found.repeated, found.seen_again) == (0, 0, 0)
    facts = await bare.facts()
    pauses = [pause for run_id in batch.runs for pause in handovers(facts[run_id])]
    print(f"{len(pauses)} runs handed over, the last after {max(pauses).total_seconds():.3f} s")
    assert len(pauses) == RUNS
    assert max(pauses) < SOON


def handovers(facts: Sequence[Fact]) -> list[timedelta]:
    """How long nobody had the run, each time that somebody let go of it."""
    return [
        after.at - before.at
        for before, after in pairwise(facts)
        if isinstance(before.event, RunSuspended) and isinstance(after.event, RunClaimed)
    ]
