"""Whatever happens in whatever order: every run gets its turn, and nobody has too many."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import pytest

from domain.limits import worker_limits
from projections.runs.read_model import UnfinishedRun
from workers.dispatcher.dispatcher import Dispatcher

PER_USER, PER_GRAPH = 7, 4
STEPS = 1_000
QUIET_STEPS_MAX = 10_000

Fact = tuple[Any, ...]
"""What happened, to which run, and details."""


@dataclass
class Run:
    """A run as the log has it up to some position."""

    run_id: str
    user: str
    graph: str
    parent: str | None
    is_claimed: bool = False
    is_suspended: bool = False
    wakes_at: float | None = None
    seen: int = 0
    child_ended: int = 0
    is_paused: bool = False
    asks: bool = False

    @property
    def known(self) -> UnfinishedRun:
        return UnfinishedRun(
            run_id=self.run_id,
            user_id=self.user,
            graph_id=self.graph,
            parent_id=self.parent,
            is_claimed=self.is_claimed,
            is_suspended=self.is_suspended,
            wakes_at=self.wakes_at,
            seen=self.seen,
            child_ended=self.child_ended,
            is_paused=self.is_paused,
            is_stopping=False,
        )


Runs = dict[str, Run]


def fold(runs: Runs, position: int, fact: Fact) -> None:
    what, run_id, *details = fact
    if what == "created":
        runs[run_id] = Run(run_id, *details)
        return
    run = runs[run_id]
    match what:
        case "claimed":
            run.is_claimed, run.is_suspended, run.wakes_at = True, False, None
        case "suspended":
            run.is_claimed, run.is_suspended = False, True
            run.wakes_at, run.seen, run.asks = details
        case "ended":
            del runs[run_id]
            if run.parent in runs:
                runs[run.parent].child_ended = position
        case _:
            run.wakes_at = details[0]
            run.is_paused = what == "paused" or (what == "called" and run.is_paused)


class World:
    """Workers who write a log, lost wake-ups, and a dispatcher that reads late."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.is_quiet = False
        self.now = 0.0
        self.log: list[Fact] = []
        self.runs: Runs = {}
        self.created = 0
        self.wake_ups: deque[str] = deque()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another dispatcher takes over; the read model is behind the log."""
        self.dispatcher = Dispatcher(PER_USER, PER_GRAPH)
        self.heard = self.chance.randint(0, len(self.log))
        self.heard_runs: Runs = {}
        self.in_hand: dict[str, float | None] = {}
        """When it was woken up; None: claimed."""
        for position, fact in enumerate(self.log[: self.heard], 1):
            fold(self.heard_runs, position, fact)
        for run in self.heard_runs.values():
            self.dispatcher.load(run.known)
            if run.is_claimed:
                self.in_hand[run.run_id] = None

    # --- the dispatcher's side -----------------------------------------------------------------

    def hear(self) -> None:
        fact = self.log[self.heard]
        self.heard += 1
        what, run_id, *details = fact
        match what:
            case "ended":
                self.dispatcher.ended(run_id, self.heard)
            case "suspended":
                self.dispatcher.suspended(run_id, details[0], details[1])
            case "created":
                self.dispatcher.created(run_id, *details)
            case _:
                getattr(self.dispatcher, what)(run_id)
        if what == "claimed":
            self.in_hand[run_id] = None
        elif what in {"suspended", "ended"} or (what == "paused" and self.in_hand.get(run_id)):
            self.in_hand.pop(run_id, None)
        fold(self.heard_runs, self.heard, fact)

    def publish(self) -> None:
        first = self.dispatcher.first_wake_up
        overdue = self.now - worker_limits.DISPATCH_AGAIN_SECONDS
        if first is not None and first <= overdue:
            if self.wake_ups:
                self.dispatcher.wake_ups_waiting(overdue, self.now)
            else:
                self.dispatcher.wake_ups_lost(overdue)
                self.forget(overdue)
        for run_id in self.dispatcher.take_due(self.now):
            run = self.heard_runs[run_id]
            assert run_id not in self.in_hand, "woken up twice"
            assert not run.is_paused
            self.in_hand[run_id] = self.now
            if self.is_quiet or self.chance.random() < 0.7:
                self.wake_ups.append(run_id)
        self.check_limits()

    def forget(self, until: float) -> None:
        woken = {run_id: at for run_id, at in self.in_hand.items() if at is not None}
        for run_id, at in woken.items():
            if at <= until:
                del self.in_hand[run_id]

    def check_limits(self) -> None:
        """Of the wake-ups that were sent: who claims unasked may have more."""
        woken = [self.heard_runs[run_id] for run_id, at in self.in_hand.items() if at == self.now]
        users = Counter(self.heard_runs[run_id].user for run_id in self.in_hand)
        graphs = Counter(
            (self.heard_runs[run_id].user, self.heard_runs[run_id].graph) for run_id in self.in_hand
        )
        for run in woken:
            assert users[run.user] <= PER_USER
            assert graphs[run.user, run.graph] <= PER_GRAPH

    # --- everybody else's side -----------------------------------------------------------------

    def record(self, *fact: Any) -> None:
        self.log.append(fact)
        fold(self.runs, len(self.log), fact)

    def create(self, parent: Run | None = None) -> None:
        self.created += 1
        user = f"user {min(self.chance.randrange(12), 4)}" if parent is None else parent.user
        above = parent.run_id if parent is not None else None
        graph = f"graph {self.chance.randrange(3)}"
        self.record("created", f"run {self.created}", user, graph, above)

    def claim(self, run_id: str) -> None:
        run = self.runs.get(run_id)
        if run is not None and not run.is_claimed and not run.is_paused:
            self.record("claimed", run_id)

    def progress(self, run: Run) -> None:
        seen = len(self.log) - self.chance.randrange(4)
        has_children = any(other.parent == run.run_id for other in self.runs.values())
        if run.is_paused or has_children or run.child_ended > seen:
            self.record("suspended", run.run_id, None, seen, False)
        elif self.is_quiet or self.chance.random() < 0.5:
            self.record("ended", run.run_id)
        elif self.chance.random() < 0.5:
            self.create(run)
        elif self.chance.random() < 0.7:
            self.record("suspended", run.run_id, self.now + 20 * self.chance.random(), seen, False)
        else:
            self.record("suspended", run.run_id, None, seen, True)

    def disturb(self) -> None:
        run = self.chance.choice(list(self.runs.values()))
        what = self.chance.choice(("called", "paused", "resumed", "claimed", "ended"))
        if what == "claimed":
            self.claim(run.run_id)
        elif what == "ended":
            if not run.is_claimed:
                self.record("ended", run.run_id)
        else:
            self.record(what, run.run_id, self.now)

    # --- time passes ---------------------------------------------------------------------------

    def step(self) -> None:
        self.now += self.chance.random()
        for _ in range(self.chance.randrange(20)):
            if self.heard < len(self.log):
                self.hear()
        self.publish()
        for _ in range(self.chance.randrange(3)):
            if self.wake_ups:
                self.claim(self.wake_ups.popleft())
        at_work = [run for run in self.runs.values() if run.is_claimed]
        for run in self.chance.sample(at_work, min(3, len(at_work))):
            self.progress(run)

    def live(self) -> None:
        for number in range(STEPS):
            for _ in range(self.chance.randrange(3)):
                self.create()
            if self.runs and self.chance.random() < 0.3:
                self.disturb()
            if number % 300 == 299:
                self.begin_anew()
            self.step()

    def calm_down(self) -> None:
        """Nothing new, no more losses; whoever was asked answers, what is paused is resumed."""
        self.is_quiet = True
        self.wake_ups.clear()
        for run in list(self.runs.values()):
            if run.is_paused:
                self.record("resumed", run.run_id, self.now)
        steps = 0
        while self.runs:
            for run in list(self.runs.values()):
                if run.is_suspended and run.asks:
                    run.asks = False
                    self.record("called", run.run_id, self.now)
            self.step()
            steps += 1
            assert steps < QUIET_STEPS_MAX, f"{len(self.runs)} runs were forgotten"


@pytest.mark.parametrize("attempt", range(5))
def test_every_run_gets_its_turn_and_no_user_more_than_the_limits(attempt: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    world = World(seed)
    world.live()
    assert len(world.runs) > PER_USER * 5, "so that there is a queue"
    world.calm_down()
    while world.heard < len(world.log):
        world.hear()
    assert world.dispatcher.take_due(world.now + 1e6) == []
