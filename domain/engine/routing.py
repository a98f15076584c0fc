"""How outputs travel: over links, into the executions that wait for them (4.4)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from domain.engine.execution import Execution, NodeQueue
from domain.engine.plan import PlanLink
from domain.engine.run import Run
from domain.json_values import PLACE_BYTES
from domain.limits import memory_limits
from domain.runs import Output


def route(run: Run, execution: Execution, at: datetime | None) -> Iterator[None]:
    """Deliver every output over every link that carries it; a pause after each that was tried."""
    node = execution.node.node
    for name, value in _undelivered(execution):
        for link in node.links_for(name):
            delivered, selected = link.selector.select(name, value)
            if delivered:
                for released in _deliver(run, link, selected, at):
                    yield
                    enqueue_if_ready(run, released, at)
            yield


def add(run: Run, queue: NodeQueue, at: datetime | None) -> Execution:
    """A new execution of the node, which has no inputs yet."""
    execution = Execution(run.count, queue, at)
    run.executions[run.count] = execution
    run.count += 1
    queue.arrivals.append(execution)
    return execution


def enqueue_if_ready(run: Run, execution: Execution, at: datetime | None) -> bool:
    """Queue the execution when its input is whole; otherwise it waits, silently (D5, D6)."""
    queue = execution.node
    if queue.node.lacks_link(execution.given):
        return False
    data, problems = queue.node.prepare(execution.given, queue.known)
    if problems:
        return False
    for pin, value in execution.given.items():
        if data[pin] is not value:
            run.made += _about(value, data[pin])
    queue.enqueue(execution, data, at)
    execution.queue_number = run.steps
    run.steps += 1
    run.ready[execution.number] = execution
    if run.gathers_outputs and queue.node.is_output:
        gather_output(run, execution)
    return True


def gather_output(run: Run, execution: Execution) -> None:
    """Keep what an OUTPUT node was given: the raw value, not what it makes of it (4.9)."""
    data = execution.data
    run.outputs[execution.number] = (str(data.get("name")), data.get("value"))


def _deliver(run: Run, link: PlanLink, value: Any, at: datetime | None) -> Collection[Execution]:
    """Others that may be ready now are left to the caller: there can be very many."""
    queue = run.nodes[link.sink.index]
    execution = queue.taker_of(link.sink_name)
    if execution is None:
        if run.is_full:
            return ()  # The run fails for it, and whoever folds it has to fold no more.
        execution = add(run, queue, at)
    execution.given[link.sink_name] = value
    queue.fill_static(execution)
    if not enqueue_if_ready(run, execution, at) or not link.is_static:
        return ()
    return queue.release_static(execution)


def _about(value: Any, made: Any) -> int:
    """About how many bytes were made of a value, and hardly ever fewer."""
    if type(made) is str:
        return len(made)
    if type(value) is str:
        return len(value) + PLACE_BYTES * min(len(value), memory_limits.TEXT_VALUES_MAX)
    return PLACE_BYTES * len(made) if type(made) is list or type(made) is dict else 0


def _undelivered(execution: Execution) -> Iterator[Output]:
    """The outputs without those that an earlier attempt, in a run retried by this one, began with.

    They are taken as the same when they are equal; from the first difference on all are new.
    """
    before = execution.delivered
    if before and execution.outputs[: len(before)] == before:
        return iter(execution.outputs[len(before) :])
    return iter(execution.outputs)
