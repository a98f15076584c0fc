"""What every run begins with: a graph that can run, and a first event."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

import msgspec

from domain import budgets
from domain.bounds import documented
from domain.budgets import Allotment, Tree
from domain.contracts import BlockContract
from domain.engine.plan import Plan
from domain.errors import GraphInvalid, Invalid
from domain.graphs.checks import check_for_run, skipped_nodes
from domain.graphs.graph import Graph, GraphVersion
from domain.limits import run_limits
from domain.runs import Parent, RunCreated


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run and all its sub-graphs may use up; None: as much as any run of its graph."""

    steps: Annotated[int | None, documented(minimum=1, maximum=run_limits.RUN_STEPS_MAX)] = None
    seconds: Annotated[
        float | None, documented(exclusiveMinimum=0, maximum=run_limits.RUN_SECONDS_MAX)
    ] = None
    credits: Annotated[int | None, documented(minimum=0, maximum=run_limits.RUN_CREDITS_MAX)] = None


UNBOUNDED = Budget()


def require_available(plan: Plan, contracts: Mapping[str, BlockContract]) -> None:
    """Raise GraphInvalid when a block of the graph is no more."""
    gone = sorted({node.block_id for node in plan.graph.nodes} - contracts.keys())
    if gone:
        raise GraphInvalid(f"Block {gone[0]} is no longer available")


def require_startable(
    plan: Plan,
    inputs: Mapping[str, Any],
    contracts: Mapping[str, BlockContract],
    *,
    unknown: Collection[str] = (),
) -> None:
    """Raise GraphInvalid unless a run can start with `inputs` (4.2, R2 to R6).

    `unknown` names inputs that will be given too, with values that nobody knows yet.
    """
    require_available(plan, contracts)
    check_for_run(plan.graph, plan.contracts, {*inputs, *unknown})
    errors = plan.starting_errors(inputs)
    for node in plan.starting if unknown else ():
        if node.is_input and node.defaults.get("name") in unknown:
            errors.pop(node.node_id, None)
    refuse(errors)
    if not plan.starting:
        raise GraphInvalid("The graph has no node that can start")


def refuse(errors: dict[str, dict[str, str]]) -> None:
    """Raise GraphInvalid when there are any: `{node id: {field: message}}`."""
    if not errors:
        return
    issues = sum(len(fields) for fields in errors.values())
    raise GraphInvalid(
        f"Graph validation failed: {issues} issues on {len(errors)} nodes", node_errors=errors
    )


def first_event(
    graph: Graph,
    version: GraphVersion,
    plan: Plan,
    inputs: dict[str, Any],
    *,
    budget: Budget = UNBOUNDED,
    parent: Parent | None = None,
    tree: Tree | None = None,
) -> RunCreated:
    """A run of the graph as it is set now. Raises Invalid for a budget out of bounds.

    Without a `tree` that it belongs to, it is the first of one of its own if it has sub-graphs.
    """
    most = steps_max_of(version)
    _check(budget, most)
    if tree is None and plan.has_agents:
        tree = budgets.planted(_whole(budget, most), plan.once)
    credit = budget.credits if tree is None else tree.allotment.credits
    return RunCreated(
        user_id=graph.user_id,
        graph_id=graph.graph_id,
        graph_version=version.version,
        inputs=inputs,
        steps_max=budget.steps or most,
        held=plan.cost if credit is None else min(plan.cost, credit),
        seconds_max=budget.seconds,
        credits_max=budget.credits,
        parent=parent,
        skipped=skipped_nodes(plan.graph, plan.contracts),
        asks=graph.settings.human_in_the_loop_safe_mode,
        asks_sensitive=graph.settings.sensitive_action_safe_mode,
        tree=tree,
    )


def steps_max_of(version: GraphVersion) -> int:
    """The most node executions of a run of this version."""
    return run_limits.CYCLIC_RUN_STEPS_MAX if version.allow_cycles else run_limits.RUN_STEPS_MAX


def _whole(budget: Budget, steps_max: int) -> Allotment:
    """What a run and its sub-graphs have in all."""
    return Allotment(
        steps=budget.steps or steps_max,
        runs=run_limits.DESCENDANTS_MAX,
        credits=run_limits.RUN_CREDITS_MAX if budget.credits is None else budget.credits,
    )


def _check(budget: Budget, steps_max: int) -> None:
    if budget.steps is not None and not 1 <= budget.steps <= steps_max:
        raise Invalid(f"the budget of node executions must be from 1 to {steps_max}")
    if budget.seconds is not None and not 0 < budget.seconds <= run_limits.RUN_SECONDS_MAX:
        raise Invalid(
            f"the budget of seconds must be above 0, at most {run_limits.RUN_SECONDS_MAX}"
        )
    if budget.credits is not None and not 0 <= budget.credits <= run_limits.RUN_CREDITS_MAX:
        raise Invalid(f"the budget of credits must be from 0 to {run_limits.RUN_CREDITS_MAX}")
