"""Runs that are parts of other runs, as what an AGENT node is (4.10)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from commands import credits as credit_commands
from commands import graphs as graph_commands
from commands import run_starts
from commands.plans import Plans
from commands.run_starts import Budget
from commands.streams import Streams
from domain import limits, runs
from domain.contracts import BlockContract
from domain.engine.execution import Execution
from domain.engine.run import Run
from domain.errors import Invalid
from domain.runs import Parent, RunCreated
from runtime.eventlog.log import StreamWrite


class Opening(msgspec.Struct, frozen=True):
    """How a node execution becomes a run: `writes` go into one append with ChildStarted.

    A child that exists already is to be joined again: then there is nothing to write.
    """

    child_id: str
    created: RunCreated | None
    writes: list[StreamWrite]

    @property
    def exists(self) -> bool:
        return self.created is None


async def opening(
    streams: Streams,
    plans: Plans,
    parent: Run,
    execution: Execution,
    contracts: Mapping[str, BlockContract],
) -> Opening:
    """The run that an execution of an AGENT node becomes.

    Raises Invalid, NotFound, GraphInvalid or PaymentRequired, whose message is the node's error.
    """
    assert parent.created is not None
    owner = parent.created.user_id
    child_id = runs.execution_id(parent.run_id, execution.number)
    stream = runs.stream_of(child_id)
    graph_id, number = execution.node.node.sub_graph
    account, found, versions = await asyncio.gather(
        credit_commands.load(streams, owner),
        graph_commands.find(streams, graph_id),
        streams.log.versions_of([stream]),
    )
    if versions[stream]:
        return Opening(child_id=child_id, created=None, writes=[])
    depth = 1 if parent.created.parent is None else parent.created.parent.depth + 1
    if depth > limits.CHILD_DEPTH_MAX:
        raise Invalid(f"sub-graphs are nested more than {limits.CHILD_DEPTH_MAX} deep")
    graph = graph_commands.owned(found.state, graph_id, owner)
    version = graph.version(number)
    plan = await plans.of(streams, graph, version)
    run_starts.require_startable(plan, execution.data, contracts)
    created = run_starts.first_event(
        graph,
        version,
        plan,
        dict(execution.data),
        budget=Budget(credits=_credits_left(parent)),
        parent=Parent(run_id=parent.run_id, execution=execution.number, depth=depth),
    )
    writes = await run_starts.writes(streams, account, child_id, created)
    return Opening(child_id=child_id, created=created, writes=writes)


def _credits_left(parent: Run) -> int | None:
    assert parent.created is not None
    most = parent.created.credits_max
    return None if most is None else max(0, most - parent.stats.cost)
