"""A run in full, folded from its stream: always current, and as it was at any version."""

from __future__ import annotations

from collections.abc import Sequence

from commands.plans import Plans
from commands.streams import Streams
from domain import runs
from domain.engine.run import Run, evolve
from domain.errors import NotFound
from domain.runs import RunCreated
from runtime.eventlog.reader import StreamEvent


async def fold(streams: Streams, plans: Plans, run_id: str) -> Run | None:
    """The run as its stream has it now; None when there is no such stream."""
    recorded = await streams.log.read_stream(runs.stream_of(run_id))
    return await _folded(streams, plans, run_id, recorded) if recorded else None


async def load(streams: Streams, plans: Plans, run_id: str, user_id: str) -> Run:
    """A run of this user. Raises NotFound for another's as for none, before anything is folded."""
    recorded = await streams.log.read_stream(runs.stream_of(run_id))
    if not recorded or _created(recorded).user_id != user_id:
        raise NotFound(f"Execution {run_id} not found")
    return await _folded(streams, plans, run_id, recorded)


async def _folded(
    streams: Streams, plans: Plans, run_id: str, recorded: Sequence[StreamEvent]
) -> Run:
    created = _created(recorded)
    run = Run(run_id, await plans.load(streams, created.graph_id, created.graph_version))
    for entry in recorded:
        evolve(run, entry.event, entry.recorded_at)
    return run


def _created(recorded: Sequence[StreamEvent]) -> RunCreated:
    created = recorded[0].event
    assert isinstance(created, RunCreated), "a run's stream begins with its creation"
    return created
