"""About how much memory a run takes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from itertools import chain
from sys import getsizeof
from typing import Any

from domain.engine.execution import Execution
from domain.engine.run import Run

NODE_BYTES = 1_500
EXECUTION_BYTES = 1_500
"""Without values."""
PORTION = 10_000
"""Values that are weighed before others have their turn."""
DONE = object()


def weight(run: Run, most: int) -> int:
    """How many bytes it takes beside its plan; of more than `most` only that it is more.

    So it takes no longer for a large run than for one of `most`.
    """
    return max(weighing(run, most))


def weighing(run: Run, most: int) -> Iterator[int]:
    """The same as it is found: how many bytes so far, after each portion of values."""
    held = list(run.executions.values())
    held_back = chain.from_iterable(queue.unrouted for queue in run.nodes)
    held += [one for one in held_back if one.number not in run.executions]
    total = NODE_BYTES * len(run.nodes) + EXECUTION_BYTES * len(held)
    yield total
    values = _distinct(chain(_values_beside(run), chain.from_iterable(map(_values_of, held))))
    waiting: list[Any] = []
    for count in itertools.count(1):
        if total > most:
            break
        if not waiting:
            value = next(values, DONE)
            if value is DONE:
                break
        else:
            value = waiting.pop()
        total += getsizeof(value)
        if isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
        if count % PORTION == 0:
            yield total
    yield total


def _distinct(values: Iterable[Any]) -> Iterator[Any]:
    """Each of the values once: many executions may have been given the same. To tell apart what is
    inside of them would take as much memory as they do.
    """
    seen: set[int] = set()
    for value in values:
        if id(value) not in seen:
            seen.add(id(value))
            yield value


def _values_beside(run: Run) -> Iterator[Any]:
    """Those that no execution has."""
    yield from (value for _, value in run.returned)
    yield from (value for _, value in run.outputs.values())
    for queue in run.nodes:
        if queue.last_given is not None:
            yield from queue.last_given.values()
        if queue.known is not None:
            yield from queue.known.values
    if run.created is not None:
        yield from run.created.inputs.values()


def _values_of(execution: Execution) -> Iterator[Any]:
    yield from execution.given.values()
    yield from execution.data.values()
    yield from (value for _, value in execution.outputs)
    yield from (value for _, value in execution.delivered)
    yield execution.error
    yield None if execution.asked is None else execution.asked.data
    yield None if execution.decided is None else execution.decided.data
