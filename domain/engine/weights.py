"""About how much memory a run takes."""

from __future__ import annotations

from itertools import chain
from sys import getsizeof
from typing import Any

from domain.engine.execution import Execution
from domain.engine.run import Run

NODE_BYTES = 1_500
EXECUTION_BYTES = 1_500
"""Without values."""


def weight(run: Run, most: int) -> int:
    """How many bytes it takes beside its plan; of more than `most` only that it is more.

    So it takes no longer for a large run than for one of `most`.
    """
    held = list(run.executions.values())
    held_back = chain.from_iterable(queue.unrouted for queue in run.nodes)
    held += [one for one in held_back if one.number not in run.executions]
    total = NODE_BYTES * len(run.nodes) + EXECUTION_BYTES * len(held)
    if total > most:
        return total
    waiting: list[Any] = [run.returned, *run.outputs.values()]
    waiting += [queue.last_given for queue in run.nodes]
    waiting += [queue.known.values for queue in run.nodes if queue.known is not None]
    if run.created is not None:
        waiting.append(run.created.inputs)
    for execution in held:
        waiting += _values_of(execution)
    seen: set[int] = set()
    while waiting and total <= most:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        total += getsizeof(value)
        if isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
    return total


def _values_of(execution: Execution) -> list[Any]:
    asked = None if execution.asked is None else execution.asked.data
    decided = None if execution.decided is None else execution.decided.data
    return [
        execution.given,
        execution.data,
        execution.outputs,
        execution.delivered,
        execution.error,
        asked,
        decided,
    ]
