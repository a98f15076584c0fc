"""A run that begins where another one stood: nothing of what was finished there is done again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from domain.contracts import ERROR_PIN
from domain.engine.execution import Execution
from domain.engine.routing import gather_output
from domain.engine.run import Run
from domain.errors import Invalid
from domain.runs import Fork, RunStatus


def take_over(run: Run, fork: Fork) -> None:
    """Make the state of the other run that of this one.

    `run` holds the other run as it was at the fork's version, under this run's id. What was under
    way there is ready here, with a new id and so a new effect key; what was finished is reused,
    and costs nothing again.
    """
    run.worker = None
    run.is_paused = run.is_stopping = False
    run.error = run.started_at = run.ended_at = None
    run.cost = run.nodes_us = run.wall_us = run.children_steps = run.children_cost = 0
    run.seen = run.children = 0
    run.lost, run.is_alone = [], False
    run.reused = run.steps
    run.put_back()
    held_back = {execution.number for queue in run.nodes for execution in queue.unrouted}
    for number in fork.retried:
        _take_up_again(run, run.executions[number], is_held_back=number in held_back)
    for execution in list(run.open.values()):
        _begin_anew(run, execution)
    run.open.clear()
    # Whatever had become of them there, here they are ready in the order in which they were queued.
    by_place = sorted(run.ready.items(), key=lambda item: item[1].queue_number)
    run.ready = OrderedDict(by_place)
    if fork.inputs:
        _lay_over(run, fork)


def check(run: Run, fork: Fork) -> None:
    """Raise Invalid unless the fork's inputs can still be laid over at this state of the run."""
    if fork.execution is not None:
        _unfinished(run, fork.execution)
        return
    waiting = {_input_name(execution) for execution in _unfinished_inputs(run)}
    for name in fork.inputs:
        if name not in waiting:
            raise Invalid(f"the input {name!r} was used before version {fork.version}")


def _take_up_again(run: Run, execution: Execution, *, is_held_back: bool) -> None:
    # What was held back after an earlier execution keeps its place; nothing of it was delivered.
    if not is_held_back:
        execution.delivered = [output for output in execution.outputs if output[0] != ERROR_PIN]
        execution.node.unrouted.append(execution)
    execution.outputs = []
    execution.ended_at = None
    run.errors -= 1
    run.failed.remove(execution.number)
    _begin_anew(run, execution)


def _begin_anew(run: Run, execution: Execution) -> None:
    execution.status = RunStatus.QUEUED
    execution.attempt = 0
    execution.lost = []
    execution.error = execution.until = execution.child = execution.started_at = None
    execution.asked = execution.decided = None
    run.ready[execution.number] = execution


def _lay_over(run: Run, fork: Fork) -> None:
    if fork.execution is not None:
        _give(run, _unfinished(run, fork.execution), fork.inputs)
        return
    for execution in _unfinished_inputs(run):
        name = _input_name(execution)
        if name in fork.inputs:
            _give(run, execution, {"value": fork.inputs[name]})


def _give(run: Run, execution: Execution, inputs: Mapping[str, Any]) -> None:
    execution.given = {**execution.given, **inputs}
    data, problems = execution.node.node.prepare(execution.given)
    if problems:
        pin, message = problems[0]
        raise Invalid(f"{pin}: {message}")
    execution.data = data
    if execution.number in run.outputs:
        gather_output(run, execution)


def _unfinished(run: Run, number: int) -> Execution:
    execution = run.executions.get(number)
    if execution is None or execution.status is RunStatus.INCOMPLETE:
        raise Invalid("the node execution has not got all its inputs at this point")
    return execution


def _unfinished_inputs(run: Run) -> list[Execution]:
    return [
        execution
        for execution in run.executions.values()
        if execution.node.node.is_input and execution.status is RunStatus.QUEUED
    ]


def _input_name(execution: Execution) -> str:
    return str(execution.node.node.defaults.get("name"))
