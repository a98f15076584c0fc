"""What a run and all its sub-graphs may use up together, whatever happened to their workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from domain.budgets import NOTHING, Allotment
from domain.runs import (
    BudgetExtended,
    ChildStarted,
    NodeCompleted,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    RunEnd,
)
from tests.support.run_rules import Fact, Repository, cost_of, created


class Used(NamedTuple):
    """What of a tree was used up: node executions that something came of, runs and credits."""

    steps: int
    runs: int
    credits: int


def check_budgets(runs: Repository) -> None:
    """The sum over each tree is within the budget of its first run, and so is each single run."""
    trees = trees_of(runs)
    for root, members in trees.items():
        first = created(runs[root])
        used = used_in([runs[run_id] for run_id in members])
        if first.fork is None:
            assert used.steps <= first.steps_max, f"{root} took {used.steps} steps"
        assert first.credits_max is None or used.credits <= first.credits_max
        if first.tree is None:
            assert len(members) == 1, "who has sub-graphs shares a budget with them"
            continue
        assert used.runs <= first.tree.budget.runs, f"{root} has {used.runs} sub-graphs"
        taken = sum((each for run_id in members for each in _taken(runs[run_id])), NOTHING)
        assert taken.within(first.tree.pool) == taken, "more was taken than was in the pool"
        for run_id in members:
            check_allotment(run_id, runs)


def trees_of(runs: Repository) -> Mapping[str, Sequence[str]]:
    """By the first run of a tree: all its runs, that one included."""
    members: defaultdict[str, list[str]] = defaultdict(list)
    for run_id in runs:
        root = run_id
        while (parent := created(runs[root]).parent) is not None:
            root = parent.run_id
        members[root].append(run_id)
    return members


def used_in(tree: Sequence[Sequence[Fact]]) -> Used:
    """By all runs of a tree."""
    steps = sum(len(_begun(facts)) for facts in tree)
    return Used(steps, len(tree) - 1, sum(map(cost_of, tree)))


def check_allotment(run_id: str, runs: Repository) -> None:
    """At no moment had one run used, and given to its sub-graphs, more than it had got.

    What it got from its parent is what that gave, and what came back is what was left.
    """
    facts = runs[run_id]
    first = created(facts)
    assert first.tree is not None
    had = first.tree.allotment
    children: dict[int, str] = {}
    begun: set[int] = set()
    cost = 0
    for fact in facts:
        event = fact.event
        if isinstance(event, BudgetExtended):
            had += event.allotment
        elif isinstance(event, ChildStarted):
            assert _tree_allotment(runs[event.child]) == event.allotment, "it began with other"
            had -= event.allotment + Allotment(runs=1)
            children[event.execution] = event.child
        elif isinstance(event, NodeCompleted | NodeFailed) and event.execution in children:
            end = runs[children[event.execution]][-1].event
            assert isinstance(end, RunEnd)
            assert event.child is not None
            assert event.child.left == end.stats.left, "another rest came back"
            had += end.stats.left
        begun |= _begun([fact])
        cost += cost_of([fact])
        if first.fork is None:
            assert len(begun) <= had.steps, f"{run_id} had {had.steps} steps"
        assert had.runs >= 0, f"{run_id} has too many sub-graphs"
        assert cost <= had.credits, f"{run_id} had {had.credits} credits"
    end = facts[-1].event
    assert isinstance(end, RunEnd)
    assert end.stats.left.within(had) == end.stats.left, "more is left than it had"
    if first.fork is None:
        assert end.stats.left.steps <= had.steps - len(begun)
    assert end.stats.left.credits <= had.credits - cost


def _begun(facts: Sequence[Fact]) -> set[int]:
    kinds = NodeStarted | NodeRetried | NodeCompleted | NodeFailed | ChildStarted
    return {fact.event.execution for fact in facts if isinstance(fact.event, kinds)}


def _taken(facts: Sequence[Fact]) -> Iterator[Allotment]:
    return (fact.event.allotment for fact in facts if isinstance(fact.event, BudgetExtended))


def _tree_allotment(facts: Sequence[Fact]) -> Allotment:
    tree = created(facts).tree
    assert tree is not None
    return tree.allotment
