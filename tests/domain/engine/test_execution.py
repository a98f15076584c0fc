from __future__ import annotations

from typing import Any

import pytest

from domain.engine.execution import COMPACT_ARRIVALS, Execution, NodeQueue
from domain.runs import RunStatus
from tests.domain.engine.given import plan


@pytest.fixture
def queue() -> NodeQueue:
    nodes = plan("v.out => s.a", "x.out > s.b").nodes
    return NodeQueue(next(node for node in nodes if node.node_id == "s"))


def arrive(queue: NodeQueue, **given: Any) -> Execution:
    execution = Execution(len(queue.arrivals), queue, None)
    execution.given = given
    queue.arrivals.append(execution)
    return execution


def test_the_earliest_incomplete_execution_without_the_pin_takes(queue: NodeQueue) -> None:
    assert queue.taker_of("b") is None
    first, second = arrive(queue, a=1), arrive(queue, b=2)
    assert (queue.taker_of("a"), queue.taker_of("b")) == (second, first)
    first.given["b"] = 1
    queue.enqueue(first, first.given, None)
    assert queue.taker_of("b") is None
    third = arrive(queue)
    assert (queue.taker_of("a"), queue.taker_of("b")) == (second, third)


def test_a_pin_with_a_path_is_another_pin(queue: NodeQueue) -> None:
    only = arrive(queue, b=1)
    assert queue.taker_of("b_#_key") is only


def test_a_null_counts_as_given(queue: NodeQueue) -> None:
    arrive(queue, b=None)
    assert queue.taker_of("b") is None


def test_the_last_used_static_value_fills_what_lacks_it(queue: NodeQueue) -> None:
    before = arrive(queue, b=1)
    queue.fill_static(before)
    assert before.given == {"b": 1}
    used = arrive(queue, a="V", b=2)
    queue.enqueue(used, used.given, None)
    after, own = arrive(queue, b=3), arrive(queue, a="own")
    for execution in (after, own):
        queue.fill_static(execution)
    assert (after.given, own.given) == ({"b": 3, "a": "V"}, {"a": "own"})
    assert queue.release_static(used) == [before]
    assert before.given == {"b": 1, "a": "V"}
    assert queue.release_static(used) == []


@pytest.mark.parametrize("status", RunStatus)
def test_completed_and_failed_executions_are_finished(queue: NodeQueue, status: RunStatus) -> None:
    execution = arrive(queue)
    execution.status = status
    assert execution.is_finished == (status in {RunStatus.COMPLETED, RunStatus.FAILED})


def test_what_takes_nothing_any_more_is_forgotten_also_after_one_that_waits(
    queue: NodeQueue,
) -> None:
    patient = arrive(queue, b=0)
    for number in range(10 * COMPACT_ARRIVALS):
        passing = arrive(queue, a=number)
        assert (queue.taker_of("b"), queue.taker_of("a")) == (passing, patient)
        passing.given["b"] = number
        queue.enqueue(passing, passing.given, None)
        queue.unrouted.clear()
        assert len(queue.arrivals) <= COMPACT_ARRIVALS + 1
    last = arrive(queue)
    assert (queue.taker_of("b"), queue.taker_of("a")) == (last, patient)
