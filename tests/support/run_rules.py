"""What the streams of runs may hold, whatever happened to the workers that wrote them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from domain.events import Event
from domain.runs import (
    FROM_OUTSIDE,
    ChildStarted,
    CreditsExtended,
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
    RunEnd,
    RunParked,
    RunStopRequested,
    RunSuspended,
    RunTerminated,
    execution_id,
)

NodeEvent = (
    NodeStarted
    | NodeDeferred
    | NodeRetried
    | ReviewRequested
    | ReviewDecided
    | ChildStarted
    | NodeCompleted
    | NodeFailed
)


class Fact(NamedTuple):
    """One event of a stream, where and when it was recorded, and who wrote it."""

    position: int
    at: datetime
    actor: str
    event: Event


Repository = Mapping[str, Sequence[Fact]]
"""By the id of the run or of the account's user; no stream is empty."""


def check_run(run_id: str, facts: Sequence[Fact]) -> None:
    """I6: the run ended, once. I7: its effects and results are as the rules below allow."""
    rules = Rules(run_id, created(facts))
    ends = [isinstance(fact.event, RunEnd) for fact in facts]
    assert ends.index(True) == len(facts) - 1, "I6: a run ends, and that is the last of it"
    for fact in facts[1:]:
        rules.take(fact)


def check_families(runs: Repository) -> None:
    """A sub-graph's run and its parent's word of it came together, and its result after its end."""
    children: set[str] = set()
    for run_id, facts in runs.items():
        started = {}
        for fact in facts:
            event = fact.event
            if isinstance(event, ChildStarted):
                opening = runs[event.child][0]
                parent = created(runs[event.child]).parent
                assert parent is not None
                assert (parent.run_id, parent.execution) == (run_id, event.execution)
                assert opening.at == fact.at, "a child was created in another moment"
                started[event.execution] = event.child
            elif isinstance(event, NodeCompleted | NodeFailed) and event.execution in started:
                end = runs[started[event.execution]][-1]
                assert end.position < fact.position, "a result before the end of the child"
        children.update(started.values())
    born = {run_id for run_id, facts in runs.items() if created(facts).parent is not None}
    assert born == children, "a child without a parent's word of it"


def created(facts: Sequence[Fact]) -> RunCreated:
    """How the run began."""
    event = facts[0].event
    assert isinstance(event, RunCreated), "a run begins with its creation, and with nothing else"
    return event


def cost_of(facts: Sequence[Fact]) -> int:
    """What the run's own nodes cost, with the attempts of them that failed."""
    events = (fact.event for fact in facts)
    return sum(e.cost for e in events if isinstance(e, NodeCompleted | NodeRetried | NodeFailed))


def held_for(facts: Sequence[Fact]) -> int:
    """What the run says was set aside for it."""
    more = sum(fact.event.amount for fact in facts if isinstance(fact.event, CreditsExtended))
    return created(facts).held + more


class Rules:
    """One run, event by event after its creation. `take` asserts that the next one may be.

    `worker` has the run. `at_work` are effects whose intent is recorded and whose outcome is not,
    and `doubtful` those of them whose worker let go of the run, or died.
    """

    def __init__(self, run_id: str, opening: RunCreated) -> None:
        self.worker: str | None = None
        self.at_work: set[int] = set()
        self.doubtful: set[int] = set()
        self._run_id = run_id
        self._opening = opening
        self._attempts: Counter[int] = Counter()
        self._deferred: set[int] = set()
        self._asked: dict[int, ReviewReason] = {}
        self._may_repeat: set[int] = set()
        self._parents: set[int] = set()
        self._finished: set[int] = set()

    def take(self, fact: Fact) -> None:
        event = fact.event
        self._check_author(fact)
        if isinstance(event, RunClaimed):
            self.worker = event.worker
            self.doubtful = set(self.at_work)
        elif isinstance(event, RunSuspended | RunParked):
            self.worker = None
        elif isinstance(event, NodeEvent):
            assert event.execution not in self._finished, "I7: a finished node moved again"
            self._take_of_node(event)

    def _check_author(self, fact: Fact) -> None:
        """Between a claim and the rest after it nobody but the claiming worker writes.

        What comes from outside may come at any time, from the owner. A run that nobody has in hand
        is ended by whoever stops it; a child may be stopped by any worker.
        """
        event, actor = fact.event, fact.actor
        ends_at_rest = self.worker is None and isinstance(event, RunTerminated)
        if isinstance(event, FROM_OUTSIDE) or ends_at_rest:
            is_stop = ends_at_rest or isinstance(event, RunStopRequested)
            is_stopped_child = is_stop and self._opening.parent is not None
            by_worker = is_stopped_child and actor.startswith("worker:")
            assert by_worker or actor == self._opening.user_id, "who is that?"
            return
        if isinstance(event, RunParked) and self.worker is None:
            # Who cannot read a run cannot claim it either.
            assert actor.startswith("worker:")
            return
        worker = event.worker if isinstance(event, RunClaimed) else self.worker
        assert actor == f"worker:{worker}", "somebody wrote who had not claimed the run"

    def _take_of_node(self, event: NodeEvent) -> None:
        number = event.execution
        if isinstance(event, NodeRetried | NodeFailed):
            assert not event.cost or number in self.at_work, "paid for what was not started"
        match event:
            case NodeStarted():
                self._start(event)
            case NodeRetried():
                made = self._attempts[number] + (number not in self.at_work)
                assert event.attempt == made, "an attempt was not counted"
                self._attempts[number] = made
                self._settle(number)
            case NodeDeferred():
                assert number not in self._deferred, "a wait began anew"
                self._deferred.add(number)
            case ReviewRequested():
                self._ask(event)
            case ReviewDecided():
                reason = self._asked.pop(number, None)
                assert reason is not None, "a decision about what nobody asked"
                if reason is ReviewReason.IN_DOUBT:
                    self._may_repeat.add(number)
            case ChildStarted():
                assert number not in self._parents, "a second child"
                assert event.child == execution_id(self._run_id, number)
                self._parents.add(number)
            case _:
                self._settle(number)
                self._finished.add(number)

    def _start(self, event: NodeStarted) -> None:
        number = event.execution
        self._attempts[number] += 1
        assert event.attempt == self._attempts[number], "an attempt was not counted"
        if event.repeats:
            in_doubt = self.doubtful | self._may_repeat
            assert number in in_doubt, "I7: repeated, although it was not in flight"
        else:
            assert number not in self.at_work, "I7: repeated, and it does not say so"
        self._settle(number)
        self.at_work.add(number)

    def _ask(self, event: ReviewRequested) -> None:
        number = event.execution
        assert number not in self._asked, "it was asked about already"
        if event.reason is ReviewReason.IN_DOUBT:
            assert number in self.doubtful, "I7: in doubt, although it was not in flight"
        self._settle(number)
        self._asked[number] = event.reason

    def _settle(self, number: int) -> None:
        """Its last attempt is not at work any more."""
        self.at_work.discard(number)
        self.doubtful.discard(number)
        self._may_repeat.discard(number)
