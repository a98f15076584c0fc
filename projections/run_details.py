"""A run in full, folded from its stream: always current, and as it was at any version."""

from __future__ import annotations

from commands import run_states
from commands.plans import Plans
from commands.run_states import NOW, Scope
from commands.streams import Streams
from domain import runs
from domain.engine.run import Run
from domain.errors import NotFound
from domain.runs import RunCreated


async def load(
    streams: Streams,
    plans: Plans,
    run_id: str,
    user_id: str,
    *,
    graph_id: str | None = None,
    scope: Scope = NOW,
) -> Run:
    """A run of this user, and if one is named of this graph, within `scope`.

    Raises NotFound for another's as for none, before anything is folded, and for what lies outside
    the run's life: before it was created, or a version that it has not got to.
    """
    created = await creation(streams, run_id, user_id)
    if graph_id not in {None, created.graph_id}:
        raise _not_found(run_id)
    run = await run_states.load(streams, plans, run_id, scope)
    if run is None:
        raise NotFound(f"Execution {run_id} did not exist then")
    if scope.version is not None and run.version < scope.version:
        raise NotFound(f"Execution {run_id} has no version {scope.version}")
    return run


async def creation(streams: Streams, run_id: str, user_id: str) -> RunCreated:
    """How a run of this user began. Raises NotFound for another's as for none."""
    async for page in streams.log.stream_pages(runs.stream_of(run_id), upto=1):
        created = page[0].event
        assert isinstance(created, RunCreated), "a run's stream begins with its creation"
        if created.user_id == user_id:
            return created
    raise _not_found(run_id)


def _not_found(run_id: str) -> NotFound:
    return NotFound(f"Execution {run_id} not found")
