"""A fork goes on where another run stood: with what was finished, and without doing it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import events
from domain.engine import forks
from domain.engine.evolve import evolve
from domain.engine.plan import Plan
from domain.engine.run import Run
from domain.errors import Invalid
from domain.events import Event
from domain.graphs.files import Node
from domain.runs import (
    ChildStarted,
    CreditsExtended,
    Fork,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    ReviewDecided,
    ReviewReason,
    ReviewRequested,
    RunClaimed,
    RunCreated,
    RunPaused,
    RunStats,
    RunStatus,
    RunStopRequested,
    RunTerminated,
)
from tests.domain.engine.given import EVERYTHING, created, plan
from tests.domain.engine.test_replay import INPUTS, Play, plays
from tests.domain.engine.test_run import NOON


def done(number: int, node: str, *outputs: tuple[str, Any], cost: int = 0) -> NodeCompleted:
    return NodeCompleted(number, node, list(outputs), elapsed_us=10, cost=cost)


def failed(number: int, node: str, *outputs: tuple[str, Any]) -> NodeFailed:
    return NodeFailed(number, node, "broken", elapsed_us=10, outputs=list(outputs))


def folded(
    compiled: Plan, happened: Sequence[Event], first: RunCreated, kept: Sequence[int] = EVERYTHING
) -> Run:
    run = Run("run", compiled, kept=kept, gathers_outputs=True)
    for event in (first, *happened):
        evolve(run, event)
    return run


def forked(
    compiled: Plan,
    happened: Sequence[Event],
    *,
    kept: Sequence[int] = EVERYTHING,
    first: RunCreated | None = None,
    **what: Any,
) -> Run:
    """The fork of a run after all that happened to it."""
    first = first or created()
    run = folded(compiled, happened, first, kept)
    fork = Fork(run_id="run", version=run.version, **what)
    run.run_id, run.version = "fork", 0
    inputs = first.inputs if fork.execution is not None else {**first.inputs, **fork.inputs}
    return evolve(run, msgspec.structs.replace(first, inputs=inputs, fork=fork))


def ready(run: Run) -> list[tuple[str, dict[str, Any]]]:
    found = []
    while (execution := run.take()) is not None:
        found.append((execution.node.node.node_id, execution.data))
    return found


# --- random runs ---------------------------------------------------------------------------------
def seen(run: Run) -> Any:
    """What a run has come to; only ids, attempts and moments are a fork's own."""
    executions = [
        (e.number, e.node.node.node_id, e.given, e.data, e.outputs, e.error, e.queue_number)
        for e in run.executions.values()
    ]
    finished = [e.number for e in run.executions.values() if e.is_finished]
    return msgspec.to_builtins((executions, finished, run.outputs_by_name(), run.failed))


@given(plays)
def test_the_same_results_lead_to_the_same_end_from_every_version(play: Play) -> None:
    happened = [events.decode(topic, state) for topic, state in play.stream]
    for version in range(1, len(happened) + 1):
        fork = forked(play.plan, happened[1:version], first=created(INPUTS))
        for event in happened[version:]:
            if isinstance(event, NodeCompleted | NodeFailed):
                evolve(fork, event)
        assert seen(fork) == seen(play.run)


@given(plays, st.data())
def test_whatever_had_not_finished_is_ready_again(play: Play, data: st.DataObject) -> None:
    happened = [events.decode(topic, state) for topic, state in play.stream]
    version = data.draw(st.integers(1, len(happened)))
    source = folded(play.plan, happened[1:version], created(INPUTS))
    unfinished = {
        e.number
        for e in source.executions.values()
        if not e.is_finished and e.status is not RunStatus.INCOMPLETE
    }
    fork = forked(play.plan, happened[1:version], first=created(INPUTS))
    taken = []
    while (execution := fork.take()) is not None:
        taken.append(execution.number)
    assert sorted(taken) == sorted(unfinished)


chains = st.integers(2, 6).flatmap(
    lambda length: st.tuples(
        st.just([f"n{place}.out > n{place + 1}.a" for place in range(length)]),
        st.sets(st.integers(0, length)),
    )
)


@given(chains)
def test_a_chain_retried_until_nothing_fails_ends_as_if_nothing_had(
    chain: tuple[list[str], set[int]],
) -> None:
    """Each of some nodes fails in the first run that comes to it."""
    links, failing = chain
    last = len(links)
    compiled = plan(*links, f"n{last}.out > o.value", nodes=[Node("o", "output", {"name": "o"})])
    run, left, runs = folded(compiled, [], created()), set(failing), 1
    while True:
        while (execution := run.take()) is not None:
            node, number = execution.node.node.node_id, execution.number
            place = int(node[1:]) if node != "o" else -1
            value = [*execution.data.get("a", []), place]
            evolve(
                run, failed(number, node) if place in left else done(number, node, ("out", value))
            )
            left.discard(place)
        if not run.failed:
            break
        retried, runs, run.version = tuple(run.failed), runs + 1, 0
        fork = Fork(run_id="run", version=9, retried=retried)
        evolve(run, msgspec.structs.replace(created(), fork=fork))
    assert run.outputs_by_name() == {"o": [list(range(last + 1))]}
    assert (runs, run.errors) == (1 + len(failing), 0)


# --- what a fork begins with ---------------------------------------------------------------------
def test_what_was_done_is_reused_and_costs_nothing_again() -> None:
    compiled = plan("x.out > s.a", "s.out > t.a")
    run = forked(compiled, [RunClaimed("w"), done(0, "x", ("out", 1), cost=5)], kept=())
    assert (run.run_id, run.version, run.status) == ("fork", 1, RunStatus.QUEUED)
    assert (run.worker, run.cost, run.nodes_us) == (None, 0, 0)
    assert run.stats == RunStats(steps=2)
    assert ready(run) == [("s", {"a": 1})]


@pytest.mark.parametrize(
    "under_way",
    [
        (NodeStarted(0, "x", attempt=3, repeats=True),),
        (NodeDeferred(0, "x", until=NOON),),
        (NodeRetried(0, "x", 1, "broken", elapsed_us=1, until=NOON),),
        (ChildStarted(0, "x", child="child"),),
        (ReviewRequested(0, "x", "Letter", "text", ReviewReason.ASKED),),
    ],
    ids=["started", "deferred", "to be retried", "a child", "in review"],
)
def test_what_was_under_way_begins_anew(under_way: tuple[Event, ...]) -> None:
    run = forked(plan("x.out > s.a"), [RunClaimed("w"), *under_way])
    execution = run.executions[0]
    assert (execution.status, execution.attempt, execution.lost) == (RunStatus.QUEUED, 0, [])
    assert (execution.until, execution.child, execution.error) == (None, None, None)
    assert (execution.asked, execution.decided, execution.started_at) == (None, None, None)
    assert run.open == {}
    assert ready(run) == [("x", {})]
    evolve(run, done(0, "x", ("out", 1)))
    assert ready(run) == [("s", {"a": 1})]


def test_what_was_taken_and_not_begun_is_ready_again() -> None:
    run = folded(plan("x.out > s.a", "y.out > s.b"), [RunClaimed("w")], created())
    run.take()
    evolve(run, msgspec.structs.replace(created(), fork=Fork("run", run.version)))
    assert ready(run) == [("x", {}), ("y", {})]


def test_neither_a_pause_nor_a_stop_goes_along() -> None:
    run = forked(plan("x.out > s.a"), [RunClaimed("w"), RunPaused(), RunStopRequested()])
    assert (run.is_paused, run.is_stopping) == (False, False)


def test_a_word_that_was_given_goes_along() -> None:
    decided = ReviewDecided(0, "x", approved=True)
    happened = [ReviewRequested(0, "x", "Letter", "text", ReviewReason.SENSITIVE), decided]
    run = forked(plan("x.out > s.a"), happened)
    assert run.executions[0].decided == decided
    assert ready(run) == [("x", {})]


def test_a_consent_for_all_of_a_node_goes_along() -> None:
    happened = [
        ReviewRequested(0, "x", "Letter", "text", ReviewReason.ASKED),
        ReviewDecided(0, "x", approved=True, auto_approve=True),
        done(0, "x", ("out", 1)),
    ]
    compiled = plan("x.out > s.a")
    by_id = {node.node_id: node.index for node in compiled.nodes}
    assert forked(compiled, happened).approved_nodes == {by_id["x"]}


def test_credits_are_those_of_the_fork() -> None:
    run = forked(
        plan("x.out > s.a"), [CreditsExtended(4)], first=msgspec.structs.replace(created(), held=2)
    )
    assert run.held == 2


def test_what_was_held_back_when_it_failed_is_delivered_once_and_whole() -> None:
    happened = [done(0, "x", ("out", 1), ("out", 2)), failed(2, "s", ("out", 9))]
    run = forked(plan("x.out > s.a", "s.out > t.a"), happened, retried=(2,))
    evolve(run, done(2, "s", ("out", 9), ("out", 10)))
    evolve(run, done(1, "s", ("out", 8)))
    assert [data["a"] for node, data in ready(run) if node == "t"] == [8, 9, 10]


# --- other inputs --------------------------------------------------------------------------------
INPUT = [Node("i", "input", {"name": "city"}), Node("j", "input", {"name": "town", "value": "x"})]
CITIES = plan("i.result => s.a", "j.result => s.b", nodes=INPUT)


def test_inputs_of_the_run_are_laid_over_as_long_as_they_wait() -> None:
    first = created({"city": "Lyon"})
    run = forked(CITIES, [], first=first, inputs={"city": "Paris", "town": "y"})
    assert [data["value"] for _, data in ready(run)] == ["Paris", "y"]
    later = forked(CITIES, [done(0, "i", ("result", "Lyon"))], first=first, inputs={"town": "y"})
    assert ready(later) == [("j", {"name": "town", "value": "y"})]


def test_inputs_of_an_execution_are_laid_over_by_pin() -> None:
    compiled = plan("x.out > s.a", nodes=[Node("s", "step", {"b": "default"})])
    run = forked(compiled, [done(0, "x", ("out", 1))], execution=1, inputs={"a": 2, "b": 3})
    assert ready(run) == [("s", {"a": 2, "b": 3})]


def test_what_an_output_was_given_is_what_it_is_given_now() -> None:
    compiled = plan("x.out > o.value", nodes=[Node("o", "output", {"name": "o"})])
    run = forked(compiled, [done(0, "x", ("out", 1))], execution=1, inputs={"value": 2})
    assert run.outputs_by_name() == {"o": [2]}


@pytest.mark.parametrize(
    ("happened", "fork", "message"),
    [
        ([done(0, "i")], {"inputs": {"city": "Paris"}}, "the input 'city' was used before"),
        ([], {"inputs": {"unknown": 1}}, "the input 'unknown' was used before"),
        ([done(0, "i")], {"execution": 0}, "has not got all its inputs"),
        ([done(0, "i", ("result", 1))], {"execution": 2}, "has not got all its inputs"),
        ([], {"execution": 7}, "has not got all its inputs"),
    ],
    ids=["used", "unknown", "finished", "incomplete", "no execution"],
)
def test_inputs_that_come_too_late_or_early(
    happened: list[Event], fork: dict[str, Any], message: str
) -> None:
    run = folded(CITIES, happened, created(), kept=())
    with pytest.raises(Invalid, match=message):
        forks.check(run, Fork("run", 1, **fork))


def test_inputs_that_the_block_refuses() -> None:
    compiled = plan(nodes=[Node("r", "strict", {"a": 5})])
    with pytest.raises(Invalid, match="a: must be at least 1"):
        forked(compiled, [], execution=0, inputs={"a": 0})


# --- failures, tried again -----------------------------------------------------------------------
PAIR = plan("x.out > s.a", "x.error > e.a")


def test_a_failed_node_runs_again_and_is_no_error_any_more() -> None:
    run = forked(plan("x.out > s.a"), [failed(0, "x")], kept=(0,), retried=(0,))
    assert (run.errors, run.failed) == (0, [])
    assert ready(run) == [("x", {})]
    evolve(run, done(0, "x", ("out", 1)))
    assert ready(run) == [("s", {"a": 1})]


@pytest.mark.parametrize(
    ("again", "delivered"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 2], [1, 2]),
        ([1, 5], [1, 2, 1, 5]),
        ([7], [1, 2, 7]),
    ],
    ids=["goes on", "ends there", "differs", "is shorter"],
)
def test_what_was_delivered_before_the_failure_is_not_delivered_again(
    again: list[int], delivered: list[int]
) -> None:
    run = forked(PAIR, [failed(0, "x", ("out", 1), ("out", 2))], retried=(0,))
    run.take()
    evolve(run, done(0, "x", *(("out", value) for value in again)))
    arrived = [e.data["a"] for e in run.executions.values() if e.node.node.node_id == "s"]
    assert arrived == delivered


def test_an_error_that_comes_again_is_delivered_again() -> None:
    run = forked(PAIR, [failed(0, "x", ("out", 1))], retried=(0,))
    run.take()
    evolve(run, failed(0, "x", ("out", 1)))
    arrived = [e.node.node.node_id for e in run.executions.values()]
    assert arrived == ["x", "s", "e", "e"]


def test_what_a_stop_cut_off_goes_on() -> None:
    happened = [RunClaimed("w"), NodeStarted(0, "x")]
    stopped = folded(plan("x.out > s.a"), [*happened, RunTerminated(RunStats())], created())
    assert stopped.executions[0].status is RunStatus.TERMINATED
    assert ready(forked(plan("x.out > s.a"), happened)) == [("x", {})]


def test_a_fork_of_a_fork_keeps_what_both_have_done() -> None:
    compiled = plan("x.out > s.a", "s.out > t.a", "s.error > u.a")
    run = forked(compiled, [done(0, "x", ("out", 1))], kept=(1,))
    evolve(run, failed(1, "s"))
    run.version = 0
    again = Fork("fork", 2, depth=2, retried=(1,))
    evolve(run, msgspec.structs.replace(created(), fork=again))
    assert (run.failed, run.errors) == ([], 0)
    assert sorted(ready(run)) == [("s", {"a": 1}), ("u", {"a": "broken"})]
    evolve(run, done(1, "s", ("out", 2)))
    assert ready(run) == [("t", {"a": 2})]
