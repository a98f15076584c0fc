"""A run in the contract's shapes (spec/2-http-contract.md, "Execution")."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from commands.runs import RunAccepted
from domain.engine.execution import Execution
from domain.engine.run import Run
from domain.runs import RunStatus, by_pin, execution_id
from projections.runs import RunRow

MICROSECONDS = 1_000_000


class Stats(msgspec.Struct):
    """Credits, seconds and counts. CPU time is not measured."""

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
    """A run as lists show it. A start is answered with its id as `execution_id` too."""

    id: str
    execution_id: str | UnsetType = UNSET
    user_id: str
    graph_id: str
    graph_version: int
    inputs: Mapping[str, Any]
    credential_inputs: dict[str, Any] | None = None
    nodes_input_masks: dict[str, Any] | None = None
    preset_id: str | None = None
    status: RunStatus
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_shared: bool = False
    share_token: str | None = None
    is_dry_run: bool = False
    stats: Stats | None = None


class NodeExecutionResult(msgspec.Struct):
    """`input_data` is the merged input, or what has arrived so far; `attempt` counts effects."""

    user_id: str
    graph_id: str
    graph_version: int
    graph_exec_id: str
    node_exec_id: str
    node_id: str
    block_id: str
    status: RunStatus
    input_data: dict[str, Any]
    output_data: dict[str, list[Any]]
    attempt: int
    add_time: datetime | None
    queue_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None


class GraphExecutionWithNodes(GraphExecutionMeta, kw_only=True):
    outputs: dict[str, list[Any]]
    node_executions: list[NodeExecutionResult]


class Pagination(msgspec.Struct):
    total_items: int
    total_pages: int
    current_page: int
    page_size: int


class GraphExecutionsPaginated(msgspec.Struct):
    executions: list[GraphExecutionMeta]
    pagination: Pagination


def accepted_meta(accepted: RunAccepted) -> GraphExecutionMeta:
    """A run that was accepted just now."""
    return GraphExecutionMeta(
        id=accepted.run_id,
        execution_id=accepted.run_id,
        user_id=accepted.user_id,
        graph_id=accepted.graph_id,
        graph_version=accepted.graph_version,
        inputs=accepted.inputs,
        status=RunStatus.QUEUED,
    )


def execution_meta(row: RunRow) -> GraphExecutionMeta:
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
        started_at=row.started_at,
        ended_at=row.ended_at,
        stats=stats,
    )


def run_in_full(run: Run) -> GraphExecutionWithNodes:
    assert run.created is not None
    return GraphExecutionWithNodes(
        id=run.run_id,
        user_id=run.created.user_id,
        graph_id=run.created.graph_id,
        graph_version=run.created.graph_version,
        inputs=run.created.inputs,
        status=run.status,
        started_at=run.started_at,
        ended_at=run.ended_at,
        stats=Stats(
            cost=run.cost,
            duration=_seconds(run.started_at, run.ended_at, run.wall_us),
            node_exec_time=run.nodes_us / MICROSECONDS,
            node_exec_count=run.steps,
            node_error_count=run.errors,
            error=run.error,
        ),
        outputs=run.outputs(),
        node_executions=[_node_execution(run, execution) for execution in run.executions],
    )


def pagination(total: int, page: int, page_size: int) -> Pagination:
    return Pagination(
        total_items=total,
        total_pages=-(-total // page_size),
        current_page=page,
        page_size=page_size,
    )


def _node_execution(run: Run, execution: Execution) -> NodeExecutionResult:
    assert run.created is not None
    node = execution.node.node
    return NodeExecutionResult(
        user_id=run.created.user_id,
        graph_id=run.created.graph_id,
        graph_version=run.created.graph_version,
        graph_exec_id=run.run_id,
        node_exec_id=execution_id(run.run_id, execution.number),
        node_id=node.node_id,
        block_id=node.contract.block_id,
        status=execution.status,
        input_data=execution.data or execution.given,
        output_data=by_pin(execution.outputs),
        attempt=execution.attempt,
        add_time=execution.added_at,
        queue_time=execution.queued_at,
        start_time=execution.started_at,
        end_time=execution.ended_at,
    )


def _seconds(started_at: datetime | None, ended_at: datetime | None, wall_us: int) -> float:
    """From claim to end, or what the last worker measured: a short run is a single append."""
    if started_at is None or ended_at is None:
        return 0.0
    return max((ended_at - started_at).total_seconds(), wall_us / MICROSECONDS)
