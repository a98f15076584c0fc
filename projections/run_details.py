"""A run in full, folded from its stream: always current, and as it was at any version."""

from __future__ import annotations

from commands.plans import Plans
from commands.streams import Streams
from domain import runs
from domain.engine.run import Run, evolve
from domain.errors import NotFound
from domain.runs import RunCreated


async def load(streams: Streams, plans: Plans, run_id: str, user_id: str) -> Run:
    """A run of this user. Raises NotFound for another's as for none."""
    recorded = await streams.log.read_stream(runs.stream_of(run_id))
    created = recorded[0].event if recorded else None
    if not isinstance(created, RunCreated) or created.user_id != user_id:
        raise NotFound(f"Execution {run_id} not found")
    plan = await plans.load(streams, created.graph_id, created.graph_version)
    run = Run(run_id, plan)
    for entry in recorded:
        evolve(run, entry.event, entry.recorded_at)
    return run
