"""The life of a run: taken, started, deferred, finished, ended."""

from __future__ import annotations

import gc
import weakref
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from domain.engine.evolve import evolve
from domain.engine.execution import COMPACT_ARRIVALS
from domain.engine.run import Run
from domain.engine.weights import weight
from domain.runs import (
    CreditsExtended,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    RunClaimed,
    RunCompleted,
    RunFailed,
    RunStats,
    RunStatus,
)
from tests.domain.engine.given import Given, created, plan, watched

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_ready_executions_are_taken_once_and_in_order() -> None:
    run = Given("x.out > s.a").run
    assert evolve(run, RunClaimed("worker")).status is RunStatus.RUNNING
    source = run.take()
    assert source is not None
    assert (run.take(), run.is_drained) == (None, False)
    evolve(run, NodeCompleted(source.number, "x", [("out", 1), ("out", 2)], elapsed_us=1))
    taken = [run.take(), run.take(), run.take()]
    assert [execution and execution.data for execution in taken] == [{"a": 1}, {"a": 2}, None]


def test_an_effect_is_open_from_its_start_and_counts_its_attempts() -> None:
    run = Given("x.out > s.a").run
    evolve(run, NodeStarted(0, "x"), NOON)
    assert [(e.attempt, e.status, e.started_at) for e in run.open.values()] == [
        (1, RunStatus.RUNNING, NOON)
    ]
    assert run.take() is None
    evolve(run, NodeStarted(0, "x", attempt=2), later(5))
    assert run.executions[0].attempt == 2
    evolve(run, NodeCompleted(0, "x", [], elapsed_us=2_000, cost=3), later(6))
    assert (run.open, run.is_drained) == ({}, True)
    assert run.stats == RunStats(steps=1, cost=3, nodes_us=2_000)


def test_attempts_that_fail_add_their_costs() -> None:
    run = Given("x.out > s.a").run
    evolve(run, NodeStarted(0, "x"), NOON)
    evolve(run, NodeRetried(0, "x", 1, "away", elapsed_us=5, until=later(1), cost=3), NOON)
    evolve(run, NodeStarted(0, "x", attempt=2), later(1))
    evolve(run, NodeFailed(0, "x", "away", elapsed_us=5, cost=3), later(1))
    assert run.stats == RunStats(steps=1, errors=1, cost=6, nodes_us=10)


def test_a_deferred_node_is_open_until_its_moment() -> None:
    run = Given("x.out > s.a").run
    evolve(run, NodeDeferred(0, "x", until=later(60)), NOON)
    assert run.open[0].until == later(60)
    evolve(run, NodeCompleted(0, "x", [("out", 1)], elapsed_us=1), later(60))
    assert run.executions[0].started_at == NOON
    assert run.executions[0].ended_at == later(60)


def test_nothing_finishes_twice() -> None:
    run = Given("x.out > s.a")
    source = run.at_hand("x")[0]
    run.completes(source)
    with pytest.raises(AssertionError, match="finishes once"):
        run.completes(source)


def test_moments_are_those_of_the_events() -> None:
    run = watched(plan("x.out > s.a", "y.out > s.b"))
    evolve(run, created(), NOON)
    evolve(run, RunClaimed("first"), later(1))
    evolve(run, RunClaimed("second"), later(2))
    evolve(run, NodeCompleted(0, "x", [("out", 1)], elapsed_us=1), later(3))
    evolve(run, NodeCompleted(1, "y", [("out", 1)], elapsed_us=1), later(4))
    evolve(run, NodeCompleted(2, "s", [], elapsed_us=1), later(5))
    evolve(run, RunCompleted(stats=run.stats), later(6))
    assert (run.created_at, run.started_at, run.ended_at) == (NOON, later(1), later(6))
    assert (run.worker, run.version, run.status) == ("second", 7, RunStatus.COMPLETED)
    joined = run.executions[2]
    assert (joined.added_at, joined.queued_at, joined.ended_at) == (later(3), later(4), later(5))


def test_the_end_reaches_whatever_was_queued_or_running() -> None:
    run = Given("x.out > s.a", "y.out > s.b", "y.out > t.a").run
    evolve(run, NodeStarted(0, "x"))
    evolve(run, NodeCompleted(1, "y", [("out", 1)], elapsed_us=1))
    evolve(run, RunFailed(error="no credits", stats=run.stats), NOON)
    shown = {e.node.node.node_id: (e.status, e.error, e.ended_at) for e in run.executions.values()}
    assert shown == {
        "x": (RunStatus.FAILED, "no credits", NOON),
        "y": (RunStatus.COMPLETED, None, None),
        "s": (RunStatus.INCOMPLETE, None, None),
        "t": (RunStatus.FAILED, "no credits", NOON),
    }
    assert (run.error, run.is_ended, run.is_drained, run.take()) == ("no credits", True, True, None)


def test_credits_held_are_added_up() -> None:
    run = Given("x.out > s.a").run
    evolve(run, CreditsExtended(amount=2))
    evolve(run, CreditsExtended(amount=4))
    assert run.held == 6


def test_what_finished_behind_one_that_waits_for_ever_leaves_only_what_is_to_be_delivered() -> None:
    text = "x" * 1_000
    run = Run("run", plan("x.out > s.a", "s.out > leaf.a"))
    evolve(run, msgspec.structs.replace(created(), steps_max=100_000))
    count = 3 * COMPACT_ARRIVALS
    evolve(run, NodeCompleted(0, "x", [("out", text)] * count, elapsed_us=1))
    [head, *others] = run.nodes[1].unrouted
    for number in range(2, count + 1):
        evolve(run, NodeCompleted(number, "s", [("out", 1), ("more", text)], elapsed_us=1))
    assert [other.outputs for other in others] == [[("out", 1)]] * (count - 1)
    assert not any(other.given or other.data for other in others)
    evolve(run, NodeCompleted(head.number, "s", [("out", 1)], elapsed_us=1))
    leaves = run.nodes[2]
    first = leaves.unrouted[0].number
    for number in range(first + 1, first + count):
        evolve(run, NodeCompleted(number, "leaf", [("out", text)], elapsed_us=1))
    assert len(leaves.unrouted) <= COMPACT_ARRIVALS
    assert not any(one.outputs for one in leaves.unrouted)


def test_a_run_that_was_dissolved_leaves_nothing_that_only_the_collector_finds() -> None:
    run = Given("x.out > s.a", "y.out > s.b").run
    source = run.take()
    assert source is not None
    evolve(run, NodeCompleted(source.number, "x", [("out", "large")], elapsed_us=1))
    assert any(queue.arrivals for queue in run.nodes)
    node = weakref.ref(run.plan.nodes[0])
    gc.disable()
    try:
        run.dissolve()
        del run, source
        assert node() is None
    finally:
        gc.enable()


def test_a_run_weighs_what_it_holds_once() -> None:
    run = Given("x.out > s.a", "x.out > t.a").run
    light = weight(run, 10**9)
    source = run.take()
    assert source is not None
    evolve(run, NodeCompleted(source.number, "x", [("out", "x" * 10**6)], elapsed_us=1))
    assert light + 10**6 < weight(run, 10**9) < light + 10**6 + 20_000
    assert light < weight(run, light + 1000) < light + 2 * 10**6
