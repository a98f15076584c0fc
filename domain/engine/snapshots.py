"""The fold of a run in bytes, so that taking up a long one does not mean reading all of it.

Only what is left to do is kept, as in the run itself. A snapshot is a cache: one that cannot be
read, or of another FORMAT, is as good as none.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec.inspect import type_info

from domain.budgets import Allotment
from domain.engine.execution import Execution, NodeQueue
from domain.engine.plan import Plan
from domain.engine.run import Run
from domain.engine.suspicion import Loss
from domain.runs import Output, ReviewDecided, ReviewRequested, RunCreated, RunStatus

MEANING = 3
"""Raised when what is kept means something else although it looks the same."""


class FrozenExecution(msgspec.Struct, array_like=True):
    number: int
    status: RunStatus
    given: dict[str, Any]
    data: dict[str, Any]
    outputs: list[Output]
    delivered: list[Output]
    attempt: int
    lost: list[Loss]
    error: str | None
    until: datetime | None
    child: str | None
    asked: ReviewRequested | None
    decided: ReviewDecided | None
    queue_number: int


class FrozenNode(msgspec.Struct, array_like=True):
    """Its executions in order: those that wait for inputs, and those not routed yet."""

    incomplete: list[FrozenExecution]
    unrouted: list[FrozenExecution]
    without_static: list[int]
    last_given: dict[str, Any] | None


class FrozenRun(msgspec.Struct, array_like=True):
    version: int
    created: RunCreated
    status: RunStatus
    worker: str | None
    lost: list[Loss]
    is_alone: bool
    parked: str | None
    is_paused: bool
    is_stopping: bool
    count: int
    nodes: list[FrozenNode]
    ready: list[int]
    open: list[int]
    failed: list[int]
    approved_nodes: list[int]
    returned: list[Output]
    steps: int
    reused: int
    errors: int
    cost: int
    nodes_us: int
    children: int
    children_steps: int
    children_cost: int
    held: int
    granted: Allotment | None
    set_aside: Allotment
    seen: int
    suspended_until: datetime | None
    suspended_version: int
    started_at: datetime | None


def format_of(kept: type[msgspec.Struct]) -> int:
    """A number of 31 bits that follows from the fields of a struct and of all structs inside."""
    return zlib.crc32(f"{MEANING} {type_info(kept)!r}".encode()) & 0x7FFF_FFFF


FORMAT = format_of(FrozenRun)
"""Another one with every change of what is kept, down to the events in it."""

_SAME = tuple(
    field
    for field in FrozenRun.__struct_fields__
    if field not in {"nodes", "ready", "open", "approved_nodes"}
)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(FrozenRun).decode


def freeze(run: Run) -> bytes:
    """A run that nobody wants to look at: what is kept for viewers is left out.

    At any moment, also while it is driven: what the driver has taken is ready for who thaws it.
    """
    return _encode(frozen(run))


def frozen(run: Run) -> FrozenRun:
    """What `freeze` writes."""
    assert run.routing is None, "a state is whole when all has been delivered"
    return FrozenRun(
        **{field: getattr(run, field) for field in _SAME},
        nodes=[_frozen(queue) for queue in run.nodes],
        ready=[*run.taken, *run.ready],
        open=list(run.open),
        approved_nodes=sorted(run.approved_nodes),
    )


def read(state: bytes) -> FrozenRun:
    """What `freeze` wrote. Raises msgspec.DecodeError for anything else."""
    return _decode(state)


def thaw(run_id: str, plan: Plan, frozen: FrozenRun) -> Run:
    """The run again."""
    run = Run(run_id, plan)
    for field in _SAME:
        setattr(run, field, getattr(frozen, field))
    run.approved_nodes = set(frozen.approved_nodes)
    everyone: dict[int, Execution] = {}
    for queue, node in zip(run.nodes, frozen.nodes, strict=True):
        _thaw_node(queue, node, everyone)
    run.executions = {
        number: execution for number, execution in everyone.items() if not execution.is_finished
    }
    run.ready.update((number, everyone[number]) for number in frozen.ready)
    run.open = {number: everyone[number] for number in frozen.open}
    return run


def _frozen(queue: NodeQueue) -> FrozenNode:
    incomplete = (one for one in queue.arrivals if one.status is RunStatus.INCOMPLETE)
    return FrozenNode(
        incomplete=[_frozen_execution(one) for one in incomplete],
        unrouted=list(_frozen_unrouted(queue)),
        without_static=list(queue.without_static),
        last_given=queue.last_given,
    )


def _frozen_unrouted(queue: NodeQueue) -> Iterator[FrozenExecution]:
    """What has finished and is held back is kept for what it has to deliver, also by who still
    looks at it.
    """
    for one in queue.unrouted:
        if not one.is_finished:
            yield _frozen_execution(one)
        elif queue.node.output_links:
            kept = _frozen_execution(one)
            kept.given, kept.data, kept.outputs = {}, {}, queue.undelivered(one)
            yield kept


def _frozen_execution(execution: Execution) -> FrozenExecution:
    # Field by field in both directions: there can be ten thousands of them.
    return FrozenExecution(
        execution.number,
        execution.status,
        execution.given,
        execution.data,
        execution.outputs,
        execution.delivered,
        execution.attempt,
        execution.lost,
        execution.error,
        execution.until,
        execution.child,
        execution.asked,
        execution.decided,
        execution.queue_number,
    )


def _thaw_node(queue: NodeQueue, node: FrozenNode, everyone: dict[int, Execution]) -> None:
    queue.arrivals.extend(_thawed(queue, one) for one in node.incomplete)
    queue.unrouted.extend(_thawed(queue, one) for one in node.unrouted)
    everyone.update((one.number, one) for one in (*queue.arrivals, *queue.unrouted))
    queue.without_static = {number: everyone[number] for number in node.without_static}
    queue.last_given = node.last_given


def _thawed(queue: NodeQueue, frozen: FrozenExecution) -> Execution:
    execution = Execution(frozen.number, queue, None)
    execution.status = frozen.status
    execution.given = frozen.given
    execution.data = frozen.data
    execution.outputs = frozen.outputs
    execution.delivered = frozen.delivered
    execution.attempt = frozen.attempt
    execution.lost = frozen.lost
    execution.error = frozen.error
    execution.until = frozen.until
    execution.child = frozen.child
    execution.asked = frozen.asked
    execution.decided = frozen.decided
    execution.queue_number = frozen.queue_number
    return execution
