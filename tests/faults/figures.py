"""What a death cost, as the log and the service outside have it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from domain.runs import NodeStarted, RunClaimed, RunEnd, execution_id
from tests.support.run_rules import Fact, Repository, Rules, created


class Figures(NamedTuple):
    """Of some runs: effects begun, those at work when a worker lost its run, those begun again.

    `seen_again` are those that the service outside saw more than once. `taken_up_at` is the first
    claim of a worker that took over, and `ended_at` the last end.
    """

    effects: int
    in_flight: int
    repeated: int
    seen_again: int
    taken_up_at: datetime
    ended_at: datetime

    def __str__(self) -> str:
        return (
            f"{self.repeated} of {self.effects} effects repeated, {self.seen_again} of them seen"
            f" twice, {self.in_flight} in flight; all ended {self.seconds:.2f} s after the takeover"
        )

    @property
    def seconds(self) -> float:
        """From the takeover to the last end."""
        return (self.ended_at - self.taken_up_at).total_seconds()


def figures(runs: Repository, seen: Mapping[str, int]) -> Figures:
    in_flight = 0
    begun, again = set(), []
    for run_id, facts in runs.items():
        rules = Rules(run_id, created(facts))
        for fact in facts[1:]:
            if isinstance(fact.event, RunClaimed):
                in_flight += len(rules.at_work)
            rules.take(fact)
            if isinstance(fact.event, NodeStarted):
                key = execution_id(run_id, fact.event.execution)
                begun.add(key)
                again += [key] * fact.event.repeats
    ended = max(fact.at for facts in runs.values() for fact in facts if _is_end(fact))
    return Figures(
        effects=len(begun),
        in_flight=in_flight,
        repeated=len(again),
        seen_again=sum(seen[key] > 1 for key in begun),
        taken_up_at=taken_up_at(runs),
        ended_at=ended,
    )


def taken_up_at(runs: Repository) -> datetime:
    """When a worker that took runs from others claimed one for the first time.

    When there is none, because nobody had any run before it, the first claim of all.
    """
    claims: list[tuple[datetime, str]] = []
    takers = set()
    for run_id, facts in runs.items():
        rules = Rules(run_id, created(facts))
        for fact in facts[1:]:
            if isinstance(fact.event, RunClaimed):
                claims.append((fact.at, fact.event.worker))
                if rules.worker is not None:
                    takers.add(fact.event.worker)
            rules.take(fact)
    return min(at for at, worker in claims if worker in takers or not takers)


def _is_end(fact: Fact) -> bool:
    return isinstance(fact.event, RunEnd)
