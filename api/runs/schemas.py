"""A run in the shapes of the API's contract, which the page `/schema` documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.http.paging import Pagination
from api.runs.node_schemas import NodeExecutionResult, Waiting, node_execution, waiting_in
from commands.runs.starts import RunAccepted
from domain.engine.run import Run
from domain.engine.views import View
from domain.limits import request_limits
from domain.runs import Fork, Outcome, RunStatus
from projections.runs.pages import Pages
from projections.runs.read_model import RunRow

MICROSECONDS = 1_000_000


class Stats(msgspec.Struct):
    """Credits, seconds and counts, those of sub-graphs included. CPU time is not measured."""

    cost: int
    duration: float
    node_exec_time: float
    node_exec_count: int
    node_error_count: int
    error: str | None
    duration_cpu_only: float = 0
    node_exec_time_cpu_only: float = 0
    activity_status: str | None = None
    correctness_score: float | None = None


class GraphExecutionMeta(msgspec.Struct, kw_only=True):
    """A run as lists show it. A start is answered with its id as `execution_id` too.

    `outcome` says how a COMPLETED run went; `parent_execution_id` is the run that a sub-graph's
    run belongs to. `inputs` are null where they are more than the answer has room for.
    `large_values` are those for which a `LargeValue` stands here, with the sizes of their JSON.
    """

    id: str
    execution_id: str | UnsetType = UNSET
    user_id: str
    graph_id: str
    graph_version: int
    inputs: Mapping[str, Any] | None
    large_values: dict[str, int] = {}
    credential_inputs: dict[str, Any] | None = None
    nodes_input_masks: dict[str, Any] | None = None
    preset_id: str | None = None
    status: RunStatus
    outcome: Outcome | None = None
    paused: bool = False
    parent_execution_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_shared: bool = False
    share_token: str | None = None
    is_dry_run: bool = False
    stats: Stats | None = None


class ForkedFrom(msgspec.Struct):
    """The run whose first `version` events another run began with."""

    execution_id: str
    version: int


class ForkedExecutionMeta(GraphExecutionMeta, kw_only=True):
    """A run that goes on where another one stood."""

    forked_from: ForkedFrom


class BudgetModel(msgspec.Struct):
    """What a run may use up at the most; null where nothing but the installation's bounds holds."""

    steps: int
    seconds: float | None
    credits: int | None


class GraphExecutionWithNodes(GraphExecutionMeta, kw_only=True):
    """A run as it is at one version of its stream.

    Node executions come in pages: `next_after` is where the next one begins, null after the last.
    So do outputs, with `next_outputs`. A value of which the JSON has more than 256 KiB is by
    reference, `{"large_value": <its hash>}`, and fetched alone at `/values/<its hash>`. What there
    was no room for all the same is named: of the run's own inputs in `omitted_inputs`, an output
    that alone was too large in `omitted_outputs`.
    `waiting` explains the first of the executions and nodes that did not get what they need, and
    `waiting_count` counts all of them.
    """

    omitted_inputs: list[str]
    version: int
    forked_from: ForkedFrom | None
    budget: BudgetModel
    outputs: dict[str, list[Any]]
    omitted_outputs: list[str]
    next_outputs: int | None
    node_executions: list[NodeExecutionResult]
    next_after: int | None
    waiting: list[Waiting]
    waiting_count: int


class GraphExecutionsPaginated(msgspec.Struct):
    executions: list[GraphExecutionMeta]
    pagination: Pagination


def accepted_meta(accepted: RunAccepted) -> GraphExecutionMeta:
    """A run that was accepted just now."""
    return GraphExecutionMeta(**_accepted(accepted))


def forked_meta(accepted: RunAccepted) -> ForkedExecutionMeta:
    """A fork that was accepted just now."""
    assert accepted.fork is not None, "a fork says what it takes over"
    meta = _accepted(accepted)
    # No client has sent them: a run that was itself a sub-graph may have been given much.
    if len(msgspec.json.encode(accepted.inputs)) > request_limits.REQUEST_BYTES_MAX:
        meta["inputs"] = None
    return ForkedExecutionMeta(**meta, forked_from=_forked_from(accepted.fork))


def listed_meta(row: RunRow) -> GraphExecutionMeta:
    """A run as its read model has it; its totals are known when it has ended."""
    stats = None
    if row.ended_at is not None:
        stats = Stats(
            cost=row.cost or 0,
            duration=_seconds(row.started_at, row.ended_at, row.wall_us or 0),
            node_exec_time=(row.nodes_us or 0) / MICROSECONDS,
            node_exec_count=row.steps or 0,
            node_error_count=row.errors or 0,
            error=row.error,
        )
    return GraphExecutionMeta(
        id=row.run_id,
        user_id=row.user_id,
        graph_id=row.graph_id,
        graph_version=row.graph_version,
        inputs=row.inputs,
        status=RunStatus(row.status),
        outcome=row.outcome,
        paused=row.paused,
        parent_execution_id=row.parent_id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        stats=stats,
    )


async def current_meta(view: View, pages: Pages) -> GraphExecutionMeta:
    """A run as its stream has it."""
    meta = await _meta(view.run, pages)
    assert view.run.created is not None
    if len(meta["inputs"]) < len(view.run.created.inputs):
        meta["inputs"] = None
    return GraphExecutionMeta(**meta, large_values=pages.large_values)


async def run_in_full(
    view: View, pages: Pages, *, numbers: range, outputs_after: int
) -> GraphExecutionWithNodes:
    """A run with those of its node executions that have these numbers, and with its outputs
    after so many, as far as there is room for them.
    """
    run, created = view.run, view.run.created
    assert created is not None
    meta = await _meta(run, pages)
    shown = await pages.executions(numbers)
    outputs = await pages.outputs(outputs_after)
    waiting, waiting_count = waiting_in(view)
    after = numbers.start + len(shown)
    return GraphExecutionWithNodes(
        **meta,
        large_values=pages.large_values,
        omitted_inputs=[name for name in created.inputs if name not in meta["inputs"]],
        version=run.version,
        forked_from=None if created.fork is None else _forked_from(created.fork),
        budget=BudgetModel(created.steps_max, created.seconds_max, created.credits_max),
        outputs=outputs.by_name(),
        omitted_outputs=outputs.omitted,
        next_outputs=outputs.next_after,
        node_executions=[node_execution(run, one) for one in shown],
        next_after=after if after < run.count else None,
        waiting=waiting,
        waiting_count=waiting_count,
    )


def _accepted(accepted: RunAccepted) -> dict[str, Any]:
    return {
        "id": accepted.run_id,
        "execution_id": accepted.run_id,
        "user_id": accepted.user_id,
        "graph_id": accepted.graph_id,
        "graph_version": accepted.graph_version,
        "inputs": accepted.inputs,
        "status": RunStatus.QUEUED,
    }


async def _meta(run: Run, pages: Pages) -> dict[str, Any]:
    created = run.created
    assert created is not None
    stats = run.stats
    return {
        "id": run.run_id,
        "user_id": created.user_id,
        "graph_id": created.graph_id,
        "graph_version": created.graph_version,
        "inputs": await pages.values(created.inputs, request_limits.OUTPUTS_PAGE_BYTES),
        "status": run.status,
        "outcome": run.outcome,
        "paused": run.is_paused,
        "parent_execution_id": None if created.parent is None else created.parent.run_id,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "stats": Stats(
            cost=stats.cost,
            duration=_seconds(run.started_at, run.ended_at, stats.wall_us),
            node_exec_time=stats.nodes_us / MICROSECONDS,
            node_exec_count=stats.steps,
            node_error_count=stats.errors,
            error=run.error,
        ),
    }


def _forked_from(fork: Fork) -> ForkedFrom:
    return ForkedFrom(execution_id=fork.run_id, version=fork.version)


def _seconds(started_at: datetime | None, ended_at: datetime | None, wall_us: int) -> float:
    """From claim to end, or what the last worker measured: a short run is a single append."""
    if started_at is None or ended_at is None:
        return 0.0
    return max((ended_at - started_at).total_seconds(), wall_us / MICROSECONDS)
