"""Budgets that a run shares with its sub-graphs: what each of them gets of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import budgets
from domain.budgets import NOTHING, PARTS, Allotment, BudgetTaken

ONCE = Allotment(steps=5, runs=1, credits=2)
LARGE = Allotment(steps=100_000, runs=2_000, credits=10**9)
amounts = st.builds(Allotment, *(st.integers(0, 1_000) for _ in range(3)))


def test_a_first_run_begins_with_room_for_some_sub_graphs() -> None:
    tree = budgets.planted(LARGE, ONCE)
    assert tree.allotment == Allotment(steps=256, runs=2_000 // PARTS, credits=64)
    assert tree.pool + tree.allotment == tree.budget == LARGE


@pytest.mark.parametrize(
    ("budget", "allotment"),
    [(Allotment(15, 2_000, 0), Allotment(5, 62, 0)), (Allotment(3, 1, 1), Allotment(3, 1, 1))],
)
def test_of_a_small_budget_it_has_what_it_needs(budget: Allotment, allotment: Allotment) -> None:
    assert budgets.planted(budget, ONCE).allotment == allotment


@pytest.mark.parametrize(
    ("left", "lacking", "granted", "taken"),
    [
        (1_000, 1, 10, 10),
        (1_000, 30, 10, 30),
        (1_000, 1, 500, 1_000 // PARTS),
        (10, 3, 500, 3),
        (2, 3, 500, 2),
        (0, 3, 500, 0),
        (1_000, 0, 10, 0),
    ],
    ids=["doubled", "as much as it lacks", "a part", "few left", "all", "none left", "none lacks"],
)
def test_who_lacks_something_takes(left: int, lacking: int, granted: int, taken: int) -> None:
    more = budgets.more(Allotment(left), Allotment(lacking), Allotment(granted))
    assert more == Allotment(taken)


@given(amounts, st.lists(st.tuples(amounts, amounts), max_size=40))
def test_nobody_takes_what_is_not_there(
    pool: Allotment, asking: list[tuple[Allotment, ...]]
) -> None:
    taken = NOTHING
    for lacking, granted in asking:
        more = budgets.more(pool - taken, lacking, granted)
        assert more.lacking == more
        taken = budgets.evolve(taken, BudgetTaken("run", more))
        assert taken.within(pool) == taken
