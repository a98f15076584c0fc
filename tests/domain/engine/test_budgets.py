"""A run's part of a budget that it shares, as its events tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from domain.budgets import Allotment, Tree
from domain.engine import snapshots
from domain.engine.evolve import evolve
from domain.engine.run import Run
from domain.events import Event
from domain.runs import (
    BudgetExtended,
    ChildStarted,
    NodeCompleted,
    NodeFailed,
    RunClaimed,
    RunCreated,
    RunStats,
)
from tests.domain.engine.given import created, plan

BUDGET = Allotment(steps=100, runs=9, credits=50)
TREE = Tree(budget=BUDGET, pool=Allotment(), allotment=Allotment(steps=10, runs=3, credits=4))
FIRST = msgspec.structs.replace(created(), tree=TREE)
STARTED = ChildStarted(0, "a", "child", Allotment(steps=4, runs=1, credits=2))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def after(*happened: Event, first: RunCreated = FIRST) -> Run:
    """A run of two nodes, one after the other."""
    run = Run("run", plan("a.out > b.a"))
    for event in (first, *happened):
        evolve(run, event)
    return run


def test_what_it_used_and_gave_away_is_spare_no_more() -> None:
    assert after().spare == Allotment(steps=9, runs=3, credits=4)
    assert after(STARTED).spare == Allotment(steps=5, runs=1, credits=2)


@pytest.mark.parametrize(
    "end",
    [
        NodeCompleted(0, "a", [], elapsed_us=1, child=RunStats(left=Allotment(3, 1, 1))),
        NodeFailed(0, "a", "why", elapsed_us=1, child=RunStats(left=Allotment(3, 1, 1))),
    ],
)
def test_what_a_sub_graph_did_not_use_comes_back(end: Event) -> None:
    assert after(STARTED, end).spare == Allotment(steps=8, runs=2, credits=3)


def test_what_it_took_from_the_pool_comes_back_to_its_parent_too() -> None:
    left = RunStats(left=Allotment(steps=40))
    run = after(STARTED, NodeCompleted(0, "a", [], elapsed_us=1, child=left))
    assert run.spare.steps == 9 - 4 + 40


def test_a_run_with_more_executions_than_it_has_got_steps_is_short() -> None:
    tree = msgspec.structs.replace(TREE, allotment=Allotment(steps=1))
    done = NodeCompleted(0, "a", [("out", 1)], elapsed_us=1)
    run = after(done, first=msgspec.structs.replace(FIRST, tree=tree))
    assert (run.is_short, run.over_budget) == (True, None)
    assert run.lacks(Allotment()) == "The run used up its budget of 100 node executions"
    assert run.stats.left == Allotment()
    evolve(run, BudgetExtended(Allotment(steps=1)))
    assert (run.is_short, run.lacks(Allotment())) == (False, None)


@pytest.mark.parametrize(
    ("needed", "of"),
    [
        (Allotment(steps=10), "100 node executions"),
        (Allotment(runs=4), "9 sub-graphs"),
        (Allotment(credits=5), "50 credits"),
    ],
)
def test_it_says_what_is_used_up(needed: Allotment, of: str) -> None:
    assert after().lacks(needed) == f"The run used up its budget of {of}"


def test_a_run_from_before_has_all_of_its_own() -> None:
    started = ChildStarted(0, "a", "child")
    done = NodeCompleted(0, "a", [("out", 1)], elapsed_us=1, child=RunStats(steps=10**6))
    run = after(started, done, first=created(steps_max=2))
    assert (run.is_short, run.over_budget, run.lacks(Allotment(steps=1))) == (False, None, None)
    assert run.stats.left == Allotment()


def test_it_ends_when_the_first_run_does() -> None:
    seconds = msgspec.structs.replace(FIRST, seconds_max=3.0)
    claimed = RunClaimed("worker")
    run = after(first=seconds)
    assert run.latest_end(NOON) == NOON + timedelta(seconds=3)
    evolve(run, claimed, NOON)
    assert run.latest_end(NOON + timedelta(seconds=9)) == NOON + timedelta(seconds=3)
    tree = msgspec.structs.replace(TREE, until=NOON)
    below = after(claimed, first=msgspec.structs.replace(seconds, tree=tree))
    assert below.latest_end(NOON + timedelta(seconds=9)) == NOON
    assert after().latest_end(NOON) is None


def test_a_snapshot_knows_what_it_has() -> None:
    run = after(STARTED, BudgetExtended(Allotment(steps=7)))
    thawed = snapshots.thaw("run", run.plan, snapshots.read(snapshots.freeze(run)))
    assert (thawed.spare, thawed.granted) == (run.spare, Allotment(17, 3, 4))
