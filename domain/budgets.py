"""What a run and all its sub-graphs may use up together, and who of them has how much of it.

Each of them has an allotment. The first run begins with a part of the budget; the rest is the pool
of the tree, from which whoever lacks something takes more. A sub-graph begins with a part of its
parent's allotment, and what is left at its end goes back there. So most runs never touch the pool,
which is one stream for all, and the sum never exceeds the budget, whoever dies where: giving and
taking are in one append.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from domain.aggregates import Aggregate
from domain.events import Event, event, unexpected


class Allotment(msgspec.Struct, frozen=True, omit_defaults=True):
    """Node executions, runs below, and credits. Of the budget, or a part of it."""

    steps: int = 0
    runs: int = 0
    credits: int = 0

    def __add__(self, other: Allotment) -> Allotment:
        return _each(int.__add__, self, other)

    def __sub__(self, other: Allotment) -> Allotment:
        return _each(int.__sub__, self, other)

    def within(self, other: Allotment) -> Allotment:
        """As much of it as the other one has."""
        return _each(min, self, other)

    @property
    def lacking(self) -> Allotment:
        """What of it is above nothing."""
        return _each(max, self, NOTHING)


NOTHING = Allotment()
FIRST = Allotment(steps=256, runs=64, credits=64)
"""With this a first run begins where the budget is large, so that few have to take more at once."""
PARTS = 32
"""Of so many parts of what is left in a pool a run takes one at most, unless it lacks more."""


class Tree(msgspec.Struct, frozen=True, omit_defaults=True):
    """The place of a run in the budget that it shares: `pool` and `budget` are those of the whole.

    `root` is the first run, whose sub-graphs and theirs the others are; none: it is this one. All
    of them end at `until`, which the first run itself knows only when it is claimed.
    """

    budget: Allotment
    pool: Allotment
    allotment: Allotment
    root: str = ""
    until: datetime | None = None


@event("budgets.BudgetTaken")
class BudgetTaken(Event, frozen=True):
    """A run took this from the pool of its tree."""

    run: str
    allotment: Allotment


def evolve(taken: Allotment, happened: Event) -> Allotment:
    """What has been taken from a pool, after one more event of its stream."""
    if isinstance(happened, BudgetTaken):
        return taken + happened.allotment
    raise unexpected(happened, "a budget")


POOL = Aggregate("budget", NOTHING, evolve)
"""What has been taken from the pool of a tree, by the id of its first run."""


def planted(budget: Allotment, once: Allotment) -> Tree:
    """The tree of a first run, which needs so much to execute each of its nodes once."""
    allotment = more(budget, once, FIRST)
    return Tree(budget=budget, pool=budget - allotment, allotment=allotment)


def more(left: Allotment, lacking: Allotment, granted: Allotment) -> Allotment:
    """What to take of what is left in a pool for a run that was granted so much and lacks more.

    It doubles what it has, so that a long run takes seldom; but a small part of the pool is enough,
    so that of a pool that is nearly empty nobody has what others lack.
    """
    return Allotment(
        steps=_more(left.steps, lacking.steps, granted.steps),
        runs=_more(left.runs, lacking.runs, granted.runs),
        credits=_more(left.credits, lacking.credits, granted.credits),
    )


def _more(left: int, lacking: int, granted: int) -> int:
    if lacking <= 0:
        return 0
    return min(left, max(lacking, min(granted, left // PARTS)))


def _each(of: Callable[[int, int], int], one: Allotment, other: Allotment) -> Allotment:
    return Allotment(
        steps=of(one.steps, other.steps),
        runs=of(one.runs, other.runs),
        credits=of(one.credits, other.credits),
    )
