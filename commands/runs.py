"""Runs: accepted here, driven by an executor from then on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from commands import credits as credit_commands
from commands import graphs as graph_commands
from commands import run_starts
from commands.context import Context
from commands.plans import Plans
from commands.run_starts import UNBOUNDED, Budget
from commands.streams import Decision, Done, Streams
from commands.sub_graphs import SubGraphs
from domain import credits as accounts
from domain.contracts import BlockContract
from domain.runs import Fork, RunCreated
from domain.storage import DEFAULT, Quota
from runtime import ids

__all__ = ["Budget", "RunAccepted", "accepted", "start"]


class RunAccepted(msgspec.Struct, frozen=True):
    """The answer to a start: the run is in the log and will be driven."""

    run_id: str
    user_id: str
    graph_id: str
    graph_version: int
    inputs: dict[str, Any]
    fork: Fork | None = None


async def start(
    streams: Streams,
    context: Context,
    plans: Plans,
    *,
    graph_id: str,
    graph_version: int | None,
    inputs: dict[str, Any],
    contracts: Mapping[str, BlockContract],
    budget: Budget = UNBOUNDED,
    quota: Quota = DEFAULT,
) -> Done[RunAccepted]:
    """Accept a run of one version of a graph, by default the active one (seed, E5).

    Raises PaymentRequired, QuotaExceeded, NotFound, Invalid or GraphInvalid; then nothing was
    created.
    """
    run = ids.new_id()
    run_id = str(run)
    owner = context.owner

    async def decide() -> Decision[RunAccepted]:
        account, found = await asyncio.gather(
            credit_commands.load(streams, owner), graph_commands.find(streams, graph_id)
        )
        accounts.require_positive(account.state)
        graph = graph_commands.owned(found.state, graph_id, owner)
        version = graph.version(graph_version)
        plan = await plans.of(streams, graph, version)
        run_starts.require_startable(plan, inputs, contracts)
        run_starts.refuse(await SubGraphs(streams, plans, owner, contracts).errors(plan))
        created = run_starts.first_event(graph, version, plan, inputs, budget=budget)
        writes = await run_starts.writes(streams, account, run_id, created, quota)
        return Decision(writes=writes, answer=accepted(run_id, created))

    # Everything that happens to the run, credits included, is found under its id.
    return await streams.execute(
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
