"""A run in the contract's shapes (spec/2-http-contract.md, "Execution")."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from commands.runs import RunAccepted
from domain.engine.execution import Execution
from domain.engine.run import Run
from domain.runs import RunStatus, execution_id
from projections.runs import RunRow

Shown = dict[str, Any]

MICROSECONDS = 1_000_000


def accepted_meta(accepted: RunAccepted) -> Shown:
    """GraphExecutionMeta of a run that was accepted just now."""
    meta = _meta(
        run_id=accepted.run_id,
        user_id=accepted.user_id,
        graph_id=accepted.graph_id,
        graph_version=accepted.graph_version,
        inputs=accepted.inputs,
        status=RunStatus.QUEUED,
        started_at=None,
        ended_at=None,
        stats=None,
    )
    return {**meta, "execution_id": accepted.run_id}


def execution_meta(row: RunRow) -> Shown:
    """GraphExecutionMeta of a listed run."""
    stats = None
    if row.ended_at is not None:
        stats = _stats(
            cost=row.cost or 0,
            duration=_seconds(row.started_at, row.ended_at),
            nodes_us=row.nodes_us or 0,
            steps=row.steps or 0,
            errors=row.errors or 0,
            error=row.error,
        )
    return _meta(
        run_id=row.run_id,
        user_id=row.user_id,
        graph_id=row.graph_id,
        graph_version=row.graph_version,
        inputs=row.inputs,
        status=row.status,
        started_at=row.started_at,
        ended_at=row.ended_at,
        stats=stats,
    )


def run_in_full(run: Run) -> Shown:
    """GraphExecutionWithNodes."""
    assert run.created is not None
    meta = _meta(
        run_id=run.run_id,
        user_id=run.created.user_id,
        graph_id=run.created.graph_id,
        graph_version=run.created.graph_version,
        inputs=run.created.inputs,
        status=run.status,
        started_at=run.started_at,
        ended_at=run.ended_at,
        stats=_stats(
            cost=run.cost,
            duration=_seconds(run.started_at, run.ended_at),
            nodes_us=run.nodes_us,
            steps=run.steps,
            errors=run.errors,
            error=run.error,
        ),
    )
    return {
        **meta,
        "outputs": run.outputs(),
        "node_executions": [_node_execution(run, execution) for execution in run.executions],
    }


def output_data(execution: Execution) -> dict[str, list[Any]]:
    """What a node execution yielded, by pin; nulls are kept in the log and left out here (N7)."""
    shown: dict[str, list[Any]] = {}
    for name, value in execution.outputs:
        if value is not None:
            shown.setdefault(name, []).append(value)
    return shown


def pagination(total: int, page: int, page_size: int) -> Shown:
    """Pagination."""
    return {
        "total_items": total,
        "total_pages": -(-total // page_size),
        "current_page": page,
        "page_size": page_size,
    }


def _node_execution(run: Run, execution: Execution) -> Shown:
    assert run.created is not None
    node = execution.node.node
    return {
        "user_id": run.created.user_id,
        "graph_id": run.created.graph_id,
        "graph_version": run.created.graph_version,
        "graph_exec_id": run.run_id,
        "node_exec_id": execution_id(run.run_id, execution.number),
        "node_id": node.node_id,
        "block_id": node.contract.block_id,
        "status": execution.status,
        "input_data": execution.data or execution.given,
        "output_data": output_data(execution),
        "attempt": execution.attempt,
        "add_time": execution.added_at,
        "queue_time": execution.queued_at,
        "start_time": execution.started_at,
        "end_time": execution.ended_at,
    }


def _meta(
    *,
    run_id: str,
    user_id: str,
    graph_id: str,
    graph_version: int,
    inputs: Mapping[str, Any],
    status: str,
    started_at: datetime | None,
    ended_at: datetime | None,
    stats: Shown | None,
) -> Shown:
    return {
        "id": run_id,
        "user_id": user_id,
        "graph_id": graph_id,
        "graph_version": graph_version,
        "inputs": inputs,
        "credential_inputs": None,
        "nodes_input_masks": None,
        "preset_id": None,
        "status": status,
        "started_at": started_at,
        "ended_at": ended_at,
        "is_shared": False,
        "share_token": None,
        "is_dry_run": False,
        "stats": stats,
    }


def _stats(
    *, cost: int, duration: float, nodes_us: int, steps: int, errors: int, error: str | None
) -> Shown:
    return {
        "cost": cost,
        "duration": duration,
        "duration_cpu_only": 0,
        "node_exec_time": nodes_us / MICROSECONDS,
        "node_exec_time_cpu_only": 0,
        "node_exec_count": steps,
        "node_error_count": errors,
        "error": error,
        "activity_status": None,
        "correctness_score": None,
    }


def _seconds(started_at: datetime | None, ended_at: datetime | None) -> float:
    if started_at is None or ended_at is None:
        return 0.0
    return (ended_at - started_at).total_seconds()
