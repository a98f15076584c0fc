"""Sub-graphs multiply, and what a run may use up is for all of them together (S19).

The graph here runs itself ten times, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from domain import events
from domain.limits import run_limits
from domain.runs import ChildStarted, NodeCompleted, NodeFailed, NodeStarted, RunEnd, RunFailed
from runtime.eventlog.reader import StreamEvent
from tests.support.api import Caller, Platform, Saved, eventually, inside_itself
from tests.support.graphs import agent_input, graph, items
from tests.support.log import whole_stream

STEP_TOPICS = {
    events.topic_of(kind) for kind in (NodeStarted, NodeCompleted, NodeFailed, ChildStarted)
}


class Family(NamedTuple):
    """The streams of a run and of all below it, its own first."""

    repository: Sequence[Sequence[StreamEvent]]

    @property
    def steps(self) -> int:
        """Node executions of all of them that have begun."""
        return sum(
            len({getattr(entry.event, "execution", None) for entry in stream} - {None})
            for stream in self.repository
        )

    @property
    def have_ended(self) -> bool:
        return all(isinstance(stream[-1].event, RunEnd) for stream in self.repository)

    @property
    def ends(self) -> set[str]:
        """Why those of them that failed did."""
        ends = [stream[-1].event for stream in self.repository]
        return {end.error for end in ends if isinstance(end, RunFailed)}


async def family_of(installation: Platform, run_id: str) -> Family:
    """The run and all that came of it, once all have ended."""

    async def read() -> Family | None:
        repository, names = [], [f"run-{run_id}"]
        for name in names:
            repository.append(await whole_stream(installation.log, name))
            children = [e.event.child for e in repository[-1] if isinstance(e.event, ChildStarted)]
            names += [f"run-{child}" for child in children]
        found = Family(repository)
        return found if found.have_ended else None

    found: Family = await eventually(read)
    return found


async def bomb(user: Caller) -> Saved:
    tens = items("ten", *range(10))
    return await inside_itself(user, graph(agent_input("x"), tens, links="ten.item > sub.x"), "sub")


@pytest.mark.holds("S19")
async def test_a_budget_is_for_a_run_and_all_below_it(user: Caller, installation: Platform) -> None:
    saved = await bomb(user)
    run_id = await user.start(saved, {"x": 1}, budget={"steps": 40, "seconds": 3})
    await user.ended(saved, run_id)
    family = await family_of(installation, run_id)
    assert family.steps <= 40
    assert family.ends == {"The run used up its budget of 40 node executions"}


@pytest.mark.holds("S19")
async def test_what_is_left_for_no_sub_graph_at_all_ends_the_run(user: Caller) -> None:
    saved = await bomb(user)
    outcome = await user.ended(saved, await user.start(saved, {"x": 1}, budget={"steps": 12}))
    assert (outcome.status, outcome.children("sub")) == ("FAILED", [])
    assert outcome.run["stats"]["error"] == "The run used up its budget of 12 node executions"


@pytest.mark.holds("S19")
async def test_who_sets_no_budget_has_one_and_a_bound_of_sub_graphs(
    user: Caller, installation: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_limits, "DESCENDANTS_MAX", 50)
    saved = await bomb(user)
    run_id = await user.start(saved, {"x": 1})
    await user.ended(saved, run_id)
    family = await family_of(installation, run_id)
    assert len(family.repository) <= 1 + 50
    assert "The run used up its budget of 50 sub-graphs" in family.ends
