"""Runs: accepted here, driven by an executor from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from commands import credits as credit_commands
from commands import graphs as graph_commands
from commands.context import Context
from commands.plans import Plans
from commands.streams import Decision, Done, Streams
from domain import credits as accounts
from domain import limits, runs
from domain.contracts import BlockContract
from domain.engine.plan import Plan
from domain.errors import GraphInvalid
from domain.graph_checks import check_for_run
from domain.graphs import GraphVersion
from domain.runs import RunCreated
from runtime import ids
from runtime.eventlog.log import StreamWrite


class RunAccepted(msgspec.Struct, frozen=True):
    """The answer to a start: the run is in the log and will be driven."""

    run_id: str
    user_id: str
    graph_id: str
    graph_version: int
    inputs: dict[str, Any]


async def start(
    streams: Streams,
    context: Context,
    plans: Plans,
    *,
    graph_id: str,
    graph_version: int | None,
    inputs: dict[str, Any],
    contracts: Mapping[str, BlockContract],
) -> Done[RunAccepted]:
    """Accept a run of one version of a graph, by default the active one (seed, E5).

    Raises PaymentRequired, NotFound or GraphInvalid; then nothing was created.
    """
    run = ids.new_id()
    run_id = str(run)

    async def decide() -> Decision[RunAccepted]:
        account = await credit_commands.load(streams, context.owner)
        accounts.require_positive(account.state)
        graph = (await graph_commands.load(streams, graph_id, context.owner)).state
        version = graph.version(graph_version)
        plan = plans.get(graph_id, version)
        _require_startable(version, plan, inputs, contracts)
        holding = accounts.hold(account.state, hold=run_id, amount=plan.cost)
        created = RunCreated(
            user_id=context.owner,
            graph_id=graph_id,
            graph_version=version.version,
            inputs=inputs,
            steps_max=_budget(version),
            held=plan.cost,
        )
        opening = StreamWrite.of(runs.stream_of(run_id), 0, [created])
        answer = RunAccepted(
            run_id=run_id,
            user_id=context.owner,
            graph_id=graph_id,
            graph_version=version.version,
            inputs=inputs,
        )
        return Decision(writes=[opening, *account.write(holding)], answer=answer)

    # Everything that happens to the run, credits included, is found under its id.
    return await streams.execute(
        msgspec.structs.replace(context, correlation=run), decide, RunAccepted
    )


def _require_startable(
    version: GraphVersion,
    plan: Plan,
    inputs: Mapping[str, Any],
    contracts: Mapping[str, BlockContract],
) -> None:
    gone = sorted({node.block_id for node in version.graph.nodes} - contracts.keys())
    if gone:
        raise GraphInvalid(f"Block {gone[0]} is no longer available")
    check_for_run(version.graph, version.contracts, inputs)
    errors = plan.starting_errors(inputs)
    if errors:
        issues = sum(len(fields) for fields in errors.values())
        raise GraphInvalid(
            f"Graph validation failed: {issues} issues on {len(errors)} nodes", node_errors=errors
        )
    if not plan.starting:
        raise GraphInvalid("The graph has no node that can start")


def _budget(version: GraphVersion) -> int:
    if version.graph.allow_cycles:
        return limits.CYCLIC_RUN_STEPS_MAX
    return limits.RUN_STEPS_MAX
