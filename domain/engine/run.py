"""A run as a fold of its stream: which executions wait, are ready, work, or are done.

Routing happens inside the fold and nowhere else, so that whoever folds the same events sees the
same executions with the same numbers (spec/3-engine-rules.md 4.4 and 4.5). `evolve` takes its
state over: a run may have a hundred thousand executions, and copying them at each event would
make the run quadratic.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Any

from domain.contracts import ERROR_PIN
from domain.engine.execution import Execution, NodeQueue
from domain.engine.plan import Plan, PlanLink
from domain.events import Event
from domain.runs import (
    TERMINAL,
    CreditsExtended,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeStarted,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunStats,
    RunStatus,
)


class Run:
    """The state of a run at one version of its stream."""

    def __init__(self, run_id: str, plan: Plan) -> None:
        self.run_id = run_id
        self.plan = plan
        self.version = 0
        self.created: RunCreated | None = None
        self.status = RunStatus.INCOMPLETE
        self.worker: str | None = None
        self.error: str | None = None
        self.executions: list[Execution] = []
        self.nodes = [NodeQueue(node) for node in plan.nodes]
        self.ready: deque[Execution] = deque()
        """In the order in which they became ready; what is no longer queued is dropped late."""
        self.open: dict[int, Execution] = {}
        """Taken, started or deferred, and not finished, by number."""
        self.steps = 0
        self.errors = 0
        self.cost = 0
        self.nodes_us = 0
        self.wall_us = 0
        self.held = 0
        self.created_at: datetime | None = None
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None

    @property
    def is_ended(self) -> bool:
        return self.status in TERMINAL

    @property
    def is_over_budget(self) -> bool:
        return self.created is not None and self.steps > self.created.steps_max

    @property
    def is_drained(self) -> bool:
        """Nothing ready, nothing at work: what still waits will wait for ever."""
        return not self.open and self._first_ready() is None

    @property
    def stats(self) -> RunStats:
        return RunStats(
            steps=self.steps,
            errors=self.errors,
            cost=self.cost,
            nodes_us=self.nodes_us,
            wall_us=self.wall_us,
        )

    def take(self) -> Execution | None:
        """The next ready execution, which counts as open from now on."""
        execution = self._first_ready()
        if execution is not None:
            self.ready.popleft()
            self.open[execution.number] = execution
        return execution

    def _first_ready(self) -> Execution | None:
        ready = self.ready
        while ready:
            first = ready[0]
            if first.status is RunStatus.QUEUED and first.number not in self.open:
                return first
            ready.popleft()
        return None

    def outputs(self) -> dict[str, list[Any]]:
        """What the OUTPUT nodes were given, by name, in queue order (4.9)."""
        found: dict[str, list[Any]] = {}
        queued = (
            execution
            for execution in self.executions
            if execution.node.node.is_output and execution.status is not RunStatus.INCOMPLETE
        )
        for execution in sorted(queued, key=lambda execution: execution.queue_number):
            name = execution.data.get("name")
            found.setdefault(str(name), []).append(execution.data.get("value"))
        return found


def evolve(run: Run, happened: Event, at: datetime | None = None) -> Run:
    """The run after one more event, which was recorded at `at` (None: not needed here)."""
    run.version += 1
    match happened:
        case NodeCompleted():
            execution = run.executions[happened.execution]
            execution.outputs = happened.outputs
            run.cost += happened.cost
            _finish(run, execution, RunStatus.COMPLETED, happened.elapsed_us, at)
        case NodeStarted():
            execution = _pick_up(run, happened.execution, at)
            execution.attempt = happened.attempt
        case NodeFailed():
            execution = run.executions[happened.execution]
            execution.error = happened.error
            execution.outputs = [*happened.outputs, (ERROR_PIN, happened.error)]
            run.errors += 1
            _finish(run, execution, RunStatus.FAILED, happened.elapsed_us, at)
        case NodeDeferred():
            execution = _pick_up(run, happened.execution, at)
            execution.until = happened.until
        case RunClaimed(worker=worker):
            run.worker = worker
            run.status = RunStatus.RUNNING
            run.started_at = run.started_at or at
        case RunCreated():
            _create(run, happened, at)
        case CreditsExtended(amount=amount):
            run.held += amount
        case RunCompleted(stats=stats):
            run.wall_us = stats.wall_us
            _end(run, RunStatus.COMPLETED, None, at)
        case RunFailed(error=error, stats=stats):
            run.wall_us = stats.wall_us
            _end(run, RunStatus.FAILED, error, at)
    return run


def _create(run: Run, created: RunCreated, at: datetime | None) -> None:
    run.created = created
    run.created_at = at
    run.held = created.held
    run.status = RunStatus.QUEUED
    for node in run.plan.starting:
        execution = _add(run, run.nodes[node.index], at)
        execution.given = run.plan.starting_inputs(node, created.inputs)
        _enqueue_if_ready(run, execution, at)


def _pick_up(run: Run, number: int, at: datetime | None) -> Execution:
    execution = run.executions[number]
    run.open[number] = execution
    execution.status = RunStatus.RUNNING
    execution.started_at = at
    return execution


def _finish(
    run: Run, execution: Execution, status: RunStatus, elapsed_us: int, at: datetime | None
) -> None:
    assert not execution.is_finished, "an execution finishes once"
    run.open.pop(execution.number, None)
    if execution.started_at is None and at is not None:
        began = at - timedelta(microseconds=elapsed_us)
        execution.started_at = max(began, execution.queued_at or began)
    execution.status = status
    execution.elapsed_us = elapsed_us
    execution.ended_at = at
    run.nodes_us += elapsed_us
    queue = execution.node
    while queue.unrouted and queue.unrouted[0].is_finished:
        _route(run, queue.unrouted.popleft(), at)


def _route(run: Run, execution: Execution, at: datetime | None) -> None:
    """Deliver every output over every link that carries it (4.4)."""
    node = execution.node.node
    for name, value in execution.outputs:
        for link in node.links_for(name):
            delivered, selected = link.selector.select(name, value)
            if delivered:
                _deliver(run, link, selected, at)


def _deliver(run: Run, link: PlanLink, value: Any, at: datetime | None) -> None:
    queue = run.nodes[link.sink.index]
    execution = queue.taker_of(link.sink_name) or _add(run, queue, at)
    execution.given[link.sink_name] = value
    queue.fill_static(execution)
    if not _enqueue_if_ready(run, execution, at) or not link.is_static:
        return
    for released in queue.release_static(execution):
        _enqueue_if_ready(run, released, at)


def _add(run: Run, queue: NodeQueue, at: datetime | None) -> Execution:
    execution = Execution(len(run.executions), queue, at)
    run.executions.append(execution)
    queue.arrivals.append(execution)
    return execution


def _enqueue_if_ready(run: Run, execution: Execution, at: datetime | None) -> bool:
    """Queue the execution when its input is whole; otherwise it waits, silently (4.4, D5-D6)."""
    queue = execution.node
    if queue.node.lacks_link(execution.given):
        return False
    data, problems = queue.node.prepare(execution.given)
    if problems:
        return False
    queue.enqueue(execution, data, at)
    execution.queue_number = run.steps
    run.steps += 1
    run.ready.append(execution)
    return True


def _end(run: Run, status: RunStatus, error: str | None, at: datetime | None) -> None:
    run.status = status
    run.error = error
    run.ended_at = at
    for execution in run.executions:
        if execution.status is RunStatus.QUEUED or execution.status is RunStatus.RUNNING:
            execution.status = status
            execution.error = error
            execution.ended_at = at
    run.ready.clear()
    run.open.clear()
