"""Runs: accepted here, driven by an executor from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from commands.runs import creation
from commands.runs.sub_graphs import SubGraphs
from domain import credits as accounts
from domain import run_starts
from domain.contracts import BlockContract
from domain.credits import ACCOUNT
from domain.graphs.graph import GRAPH
from domain.run_starts import UNBOUNDED, Budget
from domain.runs import Fork, RunCreated
from domain.storage import DEFAULT, Quota
from runtime import ids
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Decision, Done, Repository


class RunAccepted(msgspec.Struct, frozen=True):
    """The answer to a start: the run is in the log and will be driven."""

    run_id: str
    user_id: str
    graph_id: str
    graph_version: int
    inputs: dict[str, Any]
    fork: Fork | None = None


async def start(
    repository: Repository,
    context: CommandContext,
    plans: PlanCache,
    *,
    graph_id: str,
    graph_version: int | None,
    inputs: dict[str, Any],
    contracts: Mapping[str, BlockContract],
    budget: Budget = UNBOUNDED,
    quota: Quota = DEFAULT,
) -> Done[RunAccepted]:
    """Accept a run of one version of a graph, by default the active one (4.2).

    Raises PaymentRequired, QuotaExceeded, NotFound, Invalid or GraphInvalid; then nothing was
    created.
    """
    run = ids.new_id()
    run_id = str(run)
    owner = context.owner

    async def decide() -> Decision[RunAccepted]:
        account = await repository.load(ACCOUNT, owner)
        accounts.require_positive(account.state)
        graph = (await repository.load_owned(GRAPH, graph_id, owner)).state
        version = graph.version(graph_version)
        plan = await plans.of(graph, version)
        run_starts.require_startable(plan, inputs, contracts)
        run_starts.refuse(await SubGraphs(repository, plans, owner, contracts).errors(plan))
        created = run_starts.first_event(graph, version, plan, inputs, budget=budget)
        writes = await creation.writes(repository, account, run_id, created, quota)
        return Decision(writes=writes, answer=accepted(run_id, created))

    # Everything that happens to the run, credits included, is found under its id.
    return await repository.execute(
        msgspec.structs.replace(context, correlation=run), decide, RunAccepted
    )


def accepted(run_id: str, created: RunCreated) -> RunAccepted:
    """What is answered about a run that begins like this."""
    return RunAccepted(
        run_id=run_id,
        user_id=created.user_id,
        graph_id=created.graph_id,
        graph_version=created.graph_version,
        inputs=created.inputs,
        fork=created.fork,
    )
