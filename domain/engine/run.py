"""A run as a fold of its stream: which executions wait, are ready, work, or are done.

What the events mean is in `evolve.py`. A run may have a hundred thousand executions: a finished
one is dropped unless somebody asked to keep it, so a run in hand costs what is left to do in it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Container, Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from domain.budgets import NOTHING, Allotment
from domain.engine.execution import Execution, NodeQueue
from domain.engine.plan import Plan
from domain.engine.suspicion import Loss, Suspicion, suspicion
from domain.limits import memory_limits, run_limits
from domain.runs import TERMINAL, Outcome, Output, RunCreated, RunStats, RunStatus


def used_up(budget: object, of: str) -> str:
    """Why a run ends whose budget of something is used up."""
    return f"The run used up its budget of {budget} {of}"


class Run:
    """The state of a run at one version of its stream.

    `kept` are the numbers of executions that stay here when they have finished. `outputs` of the
    run are only gathered on demand: they can be many.
    """

    def __init__(  # noqa: PLR0915 - a state is a list of its parts
        self, run_id: str, plan: Plan, *, kept: Container[int] = (), gathers_outputs: bool = False
    ) -> None:
        self.run_id = run_id
        self.plan = plan
        self.kept = kept
        self.gathers_outputs = gathers_outputs
        self.version = 0
        self.created: RunCreated | None = None
        self.status = RunStatus.INCOMPLETE
        self.worker: str | None = None
        self.lost: list[Loss] = []
        """Workers in a row that recorded nothing any more after they had claimed it."""
        self.is_alone = False
        """Its worker drives no other run that is under suspicion, lest it take them along."""
        self.parked: str | None = None
        """Why no worker could take it."""
        self.is_paused = False
        self.is_stopping = False
        self.error: str | None = None
        self.executions: dict[int, Execution] = {}
        """By number: those that have not finished, and those that are kept."""
        self.count = 0
        """Executions so far, which is also the next one's number."""
        self.nodes = [NodeQueue(node) for node in plan.nodes]
        self.routing: Iterator[None] | None = None
        """The rest of the deliveries that the last event made, if they are many."""
        self.ready: OrderedDict[int, Execution] = OrderedDict()
        """By number, in the order in which they became ready."""
        self.taken: dict[int, Execution] = {}
        """Taken by who drives the run, so no longer ready; no event says so, and none is needed: to
        whoever folds the run's events they are the first that are ready."""
        self.open: dict[int, Execution] = {}
        """Started or waiting for something, as events say, and not finished, by number."""
        self.failed: list[int] = []
        self.approved_nodes: set[int] = set()
        """Indices of nodes for which a person's word counts as given."""
        self.outputs: dict[int, Output] = {}
        """What OUTPUT nodes were given under which name, by execution in queue order (4.9)."""
        self.returned: list[Output] = []
        """What a sub-graph hands back: its OUTPUT nodes' own outputs, as they finished (4.10)."""
        self.steps = 0
        self.reused = 0
        """Steps that another run had taken when this one was forked from it."""
        self.errors = 0
        self.cost = 0
        self.nodes_us = 0
        self.wall_us = 0
        self.children = 0
        """Sub-graphs that have been started."""
        self.children_steps = 0
        self.children_cost = 0
        self.held = 0
        self.granted: Allotment | None = None
        """What it has got of the budget of its tree; None: it shares none."""
        self.set_aside = NOTHING
        """What its sub-graphs have got of that, or have used up; below zero, what came back."""
        self.weight = 0
        """About how many bytes it takes in memory, when who drives it weighed it last."""
        self.made = 0
        """The same of what was made of the values that arrived, in all."""
        self.suspended_until: datetime | None = None
        """The moment for which it was suspended last,"""
        self.suspended_version = 0
        """and the version at which it did."""
        self.seen = 0
        """The position in the log up to which its last worker knew of ends of sub-graphs."""
        self.created_at: datetime | None = None
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None

    @property
    def is_ended(self) -> bool:
        return self.status in TERMINAL

    @property
    def is_drained(self) -> bool:
        """Nothing ready, nothing at work: what still waits will wait for ever."""
        return not self.open and not self.taken and self.first_ready() is None

    @property
    def waiting(self) -> int:
        """Executions that have not got all their inputs."""
        return self.count - self.steps

    @property
    def outcome(self) -> Outcome | None:
        """How the run went, once it has completed."""
        return self.stats.outcome if self.status is RunStatus.COMPLETED else None

    @property
    def stats(self) -> RunStats:
        """Totals with those of the sub-graphs."""
        return RunStats(
            steps=self.steps + self.children_steps,
            errors=self.errors,
            cost=self.cost + self.children_cost,
            nodes_us=self.nodes_us,
            wall_us=self.wall_us,
            waiting=self.waiting,
            left=NOTHING if self.granted is None else self.spare.lacking,
        )

    @property
    def spare(self) -> Allotment:
        """What it has of the budget of its tree and needs for nothing that there is, or lacks."""
        assert self.granted is not None
        own = Allotment(steps=self.steps - self.reused, credits=self.committed)
        return self.granted - self.set_aside - own

    @property
    def committed(self) -> int:
        """What its own executions have cost, and will have when those that have begun are done."""
        if not self.plan.cost:
            return self.cost
        begun = chain(self.open.values(), self.taken.values())
        return self.cost + sum(execution.node.node.contract.cost for execution in begun)

    @property
    def is_short(self) -> bool:
        """It needs more of the budget of its tree before anything else of it begins."""
        if self.granted is None:
            return False
        return self.steps - self.reused > self.granted.steps - self.set_aside.steps

    def lacks(self, needed: Allotment) -> str | None:
        """Which part of its budget does not do for what has begun, and what else is needed of it.

        Where it shares none, `over_budget` counts its executions.
        """
        created = self.created
        assert created is not None
        if created.tree is None:
            most = created.credits_max
            is_over = most is not None and self.committed + self.children_cost > most
            return used_up(most, "credits") if is_over else None
        spare, budget = self.spare, created.tree.budget
        if spare.steps < needed.steps:
            return used_up(budget.steps, "node executions")
        if spare.runs < needed.runs:
            return used_up(budget.runs, "sub-graphs")
        return used_up(budget.credits, "credits") if spare.credits < needed.credits else None

    def latest_end(self, now: datetime) -> datetime | None:
        """When its time is over, if it is claimed `now` or was before."""
        created = self.created
        assert created is not None
        if created.tree is not None and created.tree.until is not None:
            return created.tree.until
        if created.seconds_max is None:
            return None
        return (self.started_at or now) + timedelta(seconds=created.seconds_max)

    @property
    def is_full(self) -> bool:
        """It has as many executions as it may ever have: none is added any more."""
        assert self.created is not None
        is_waited_for = self.waiting >= run_limits.RUN_WAITING_MAX
        is_heavy = self.weight > memory_limits.RUN_BYTES_MAX
        return is_waited_for or is_heavy or self.steps - self.reused > self.created.steps_max

    @property
    def over_budget(self) -> str | None:
        """Which part of its budget the run has used up, in words."""
        created = self.created
        assert created is not None
        if self.steps - self.reused > created.steps_max:
            return used_up(created.steps_max, "node executions")
        if self.waiting >= run_limits.RUN_WAITING_MAX:
            return f"More than {run_limits.RUN_WAITING_MAX} node executions wait for inputs"
        if self.weight > memory_limits.RUN_BYTES_MAX:
            megabytes = memory_limits.RUN_BYTES_MAX // 1024 // 1024
            return f"The values that the run holds take more than {megabytes} MB of memory"
        most = created.credits_max
        if most is not None and self.cost + self.children_cost > most:
            return used_up(most, "credits")
        return None

    def suspicion(self, successor: str, living: Collection[str] = ()) -> Suspicion:
        """How suspect it is when `successor` takes it now, if the workers `living` came back."""
        now = []
        if self.worker is not None and self.worker != successor:
            now.append(Loss(self.worker, self.is_alone))
        subjects = [("the run", [*self.lost, *now])]
        for one in self.open.values():
            if one.is_in_doubt:
                node = one.node.node
                name = f"the node {node.node_id} ({node.contract.name})"
                subjects.append((name, [*one.lost, *now]))
        return suspicion(subjects, living)

    def lost_workers(self) -> set[str]:
        """Those over whose deaths it is suspect, if they died."""
        over_effects = [loss for one in self.open.values() for loss in one.lost]
        found = {loss.worker for loss in (*self.lost, *over_effects)}
        return found if self.worker is None else {self.worker, *found}

    def take(self) -> Execution | None:
        """The next ready execution, which is ready no more."""
        execution = self.first_ready()
        if execution is not None:
            self.ready.popitem(last=False)
            self.taken[execution.number] = execution
        return execution

    def put_back(self) -> None:
        """Make all that was taken, and that no event has picked up, ready again."""
        for number, execution in reversed(self.taken.items()):
            self.ready[number] = execution
            self.ready.move_to_end(number, last=False)
        self.taken.clear()

    def leave_ready(self, number: int) -> None:
        """An event says more about the execution than that it is ready."""
        self.taken.pop(number, None)
        self.ready.pop(number, None)

    def first_ready(self) -> Execution | None:
        """The next ready execution, which stays where it is."""
        assert self.routing is None, "what is ready is known when all has been delivered"
        return next(iter(self.ready.values()), None)

    def dissolve(self) -> None:
        """Let go of all executions, at the end: they and their queues name each other, and what
        goes round in circles stays in memory until somebody looks for circles.
        """
        for queue in self.nodes:
            queue.empty()
        for held in (self.executions, self.ready, self.taken, self.open):
            held.clear()

    def outputs_by_name(self) -> dict[str, list[Any]]:
        """What the OUTPUT nodes were given, by name."""
        found: dict[str, list[Any]] = {}
        for name, value in self.outputs.values():
            found.setdefault(name, []).append(value)
        return found
