"""Runs that are parts of other runs, as what an AGENT node is (4.10)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from commands.runs import creation
from domain import run_starts, runs
from domain.budgets import Allotment, Tree
from domain.contracts import BlockContract
from domain.credits import ACCOUNT
from domain.engine.execution import Execution
from domain.engine.plan import Plan
from domain.engine.run import Run
from domain.errors import Invalid
from domain.graphs.graph import GRAPH, Graph, GraphVersion
from domain.limits import run_limits
from domain.run_starts import Budget
from domain.runs import Parent
from runtime import clock
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Repository
from runtime.eventlog.log import StreamWrite


class SubGraph(msgspec.Struct, frozen=True):
    """The graph version that an execution of an AGENT node is a run of.

    A child that exists already is to be joined again.
    """

    child_id: str
    exists: bool
    graph: Graph
    version: GraphVersion
    plan: Plan
    depth: int


async def part(
    repository: Repository,
    plans: PlanCache,
    parent: Run,
    execution: Execution,
    contracts: Mapping[str, BlockContract],
) -> SubGraph:
    """What an execution of an AGENT node is to become.

    Raises Invalid, NotFound or GraphInvalid, whose message is the node's error, and NoRoom.
    """
    assert parent.created is not None
    owner = parent.created.user_id
    depth = 1 if parent.created.parent is None else parent.created.parent.depth + 1
    if depth > run_limits.CHILD_DEPTH_MAX:
        raise Invalid(f"sub-graphs are nested more than {run_limits.CHILD_DEPTH_MAX} deep")
    graph_id, number = execution.node.node.sub_graph
    child_id = runs.execution_id(parent.run_id, execution.number)
    stream = runs.stream_of(child_id)
    found, versions = await asyncio.gather(
        repository.load_owned(GRAPH, graph_id, owner), repository.log.versions_of([stream])
    )
    graph = found.state
    version = graph.version(number)
    plan = await plans.of(graph, version, beside=parent.plan)
    run_starts.require_startable(plan, execution.data, contracts)
    return SubGraph(child_id, bool(versions[stream]), graph, version, plan, depth)


async def opening(
    repository: Repository,
    parent: Run,
    execution: Execution,
    part: SubGraph,
    allotment: Allotment,
) -> list[StreamWrite]:
    """The first event of the run that the execution becomes, with this part of what its parent
    has, to be appended together with ChildStarted.

    Raises PaymentRequired, whose message is the node's error.
    """
    assert parent.created is not None
    if part.exists:
        return []
    created = run_starts.first_event(
        part.graph,
        part.version,
        part.plan,
        dict(execution.data),
        budget=_budget(parent, part.version),
        parent=Parent(run_id=parent.run_id, execution=execution.number, depth=part.depth),
        tree=_tree(parent, allotment),
    )
    if not created.held:
        return await creation.opening(repository, part.child_id, created)
    account = await repository.load(ACCOUNT, parent.created.user_id)
    return await creation.writes(repository, account, part.child_id, created)


def _budget(parent: Run, version: GraphVersion) -> Budget:
    """That of the tree; below a run from before there were any, what is left of its credits."""
    created = parent.created
    assert created is not None
    if created.tree is None:
        most = created.credits_max
        return Budget(credits=None if most is None else max(0, most - parent.stats.cost))
    steps = min(created.tree.budget.steps, run_starts.steps_max_of(version))
    return Budget(steps=steps, seconds=created.seconds_max, credits=created.credits_max)


def _tree(parent: Run, allotment: Allotment) -> Tree | None:
    assert parent.created is not None
    tree = parent.created.tree
    if tree is None:
        return None
    return msgspec.structs.replace(
        tree,
        root=tree.root or parent.run_id,
        allotment=allotment,
        until=parent.latest_end(clock.now()),
    )
