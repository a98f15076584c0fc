"""What a batch of events means for the rows of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import cast

import msgspec

from domain.events import Event
from domain.runs import (
    Outcome,
    ReviewDecided,
    ReviewRequested,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunEnd,
    RunFailed,
    RunParked,
    RunPaused,
    RunResumed,
    RunStats,
    RunStatus,
    RunStopRequested,
    RunSuspended,
    RunTerminated,
    run_of,
)
from projections.projection import Recorded, topics_of

LISTED_INPUTS_BYTES = 16 * 1024
"""Larger inputs are left out of lists: 250 runs are listed at once."""

_encode = msgspec.json.Encoder().encode


class NewRun(msgspec.Struct, frozen=True):
    """A new row."""

    run_id: str
    user_id: str
    graph_id: str
    graph_version: int
    inputs: msgspec.Raw | None
    created_at: datetime
    position: int
    parent_id: str | None
    forked_from: str | None


class Change(msgspec.Struct, omit_defaults=True):
    """What is new about a row; None means unchanged.

    What depends on the row as it was is left to the statement, so that the result is the same in
    however many batches the events come.
    """

    run_id: str
    position: int = 0
    moved: bool = False
    """It was claimed, suspended, parked or ended: `worker`, `suspended`, `parked` and `wakes_at`
    are new, also if null."""
    worker: str | None = None
    suspended: bool = False
    parked: str | None = None
    wakes_at: datetime | None = None
    status: RunStatus | None = None
    reviews: int = 0
    """How many more reviews are open."""
    reviews_at_suspension: int | None = None
    """How many more were open at its suspension, if that was the last that happened to it."""
    children: int = 0
    """How many more children are unfinished."""
    child_ended: int | None = None
    seen: int | None = None
    paused: bool | None = None
    stopping: bool | None = None
    error: str | None = None
    outcome: Outcome | None = None
    steps: int | None = None
    errors: int | None = None
    cost: int | None = None
    nodes_us: int | None = None
    wall_us: int | None = None
    waiting: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def move(self, worker: str | None, wakes_at: datetime | None) -> None:
        self.moved = True
        self.worker = worker
        self.wakes_at = wakes_at
        self.suspended = False
        self.status = self.reviews_at_suspension = self.parked = None

    def total(self, stats: RunStats) -> None:
        self.steps, self.errors, self.cost = stats.steps, stats.errors, stats.cost
        self.nodes_us, self.wall_us, self.waiting = stats.nodes_us, stats.wall_us, stats.waiting


class Batch:
    """New rows, and changes of these and others by run."""

    def __init__(self) -> None:
        self.new_runs: list[NewRun] = []
        self.changes: dict[str, Change] = {}

    def change(self, run_id: str, recorded: Recorded) -> Change:
        change = self.changes.get(run_id)
        if change is None:
            change = self.changes[run_id] = Change(run_id)
        change.position = recorded.position
        return change

    def own(self, recorded: Recorded) -> Change:
        return self.change(run_of(recorded.stream), recorded)


def fold(happened: Sequence[Recorded]) -> Batch:
    """The rows that these events open and change; all their types are in TOPICS."""
    batch = Batch()
    for recorded in happened:
        _HANDLERS[type(recorded.event)](batch, recorded, recorded.event)
    return batch


def _created(batch: Batch, recorded: Recorded, created: RunCreated) -> None:
    parent, fork = created.parent, created.fork
    batch.new_runs.append(
        NewRun(
            run_id=run_of(recorded.stream),
            user_id=created.user_id,
            graph_id=created.graph_id,
            graph_version=created.graph_version,
            inputs=_listed(created),
            created_at=recorded.at,
            position=recorded.position,
            parent_id=None if parent is None else parent.run_id,
            forked_from=None if fork is None else fork.run_id,
        )
    )
    if parent is not None:
        batch.change(parent.run_id, recorded).children += 1


def _listed(created: RunCreated) -> msgspec.Raw | None:
    """The inputs as JSON, or none where they are too large for a list."""
    encoded = msgspec.Raw(_encode(created.inputs))
    return None if created.large or len(encoded) > LISTED_INPUTS_BYTES else encoded


def _claimed(batch: Batch, recorded: Recorded, claimed: RunClaimed) -> None:
    change = batch.own(recorded)
    change.move(claimed.worker, None)
    change.status = RunStatus.RUNNING
    change.started_at = change.started_at or recorded.at


def _suspended(batch: Batch, recorded: Recorded, suspended: RunSuspended) -> None:
    change = batch.own(recorded)
    change.move(None, suspended.until)
    change.suspended = True
    change.reviews_at_suspension = change.reviews
    change.seen = suspended.seen
    change.total(suspended.stats)


def _ended(batch: Batch, recorded: Recorded, end: RunEnd) -> None:
    change = batch.own(recorded)
    change.move(None, None)
    change.status = _ENDS[type(end)]
    change.ended_at = recorded.at
    change.total(end.stats)
    if isinstance(end, RunFailed):
        change.error = end.error
    elif isinstance(end, RunCompleted):
        change.outcome = end.stats.outcome
    if end.parent is not None:
        above = batch.change(end.parent, recorded)
        above.children -= 1
        above.child_ended = recorded.position


def _parked(batch: Batch, recorded: Recorded, parked: RunParked) -> None:
    change = batch.own(recorded)
    change.move(None, parked.until)
    change.suspended = True
    change.parked = parked.reason


def _stop_requested(batch: Batch, recorded: Recorded, _: RunStopRequested) -> None:
    change = batch.own(recorded)
    change.wakes_at = recorded.at
    change.stopping = True


def _paused(batch: Batch, recorded: Recorded, happened: RunPaused | RunResumed) -> None:
    change = batch.own(recorded)
    change.wakes_at = recorded.at
    change.paused = isinstance(happened, RunPaused)


def _review_requested(batch: Batch, recorded: Recorded, _: ReviewRequested) -> None:
    batch.own(recorded).reviews += 1


def _review_decided(batch: Batch, recorded: Recorded, _: ReviewDecided) -> None:
    change = batch.own(recorded)
    change.wakes_at = recorded.at
    change.reviews -= 1


_ENDS: Mapping[type[Event], RunStatus] = {
    RunCompleted: RunStatus.COMPLETED,
    RunFailed: RunStatus.FAILED,
    RunTerminated: RunStatus.TERMINATED,
}

_HANDLERS = cast(
    "Mapping[type[Event], Callable[[Batch, Recorded, Event], None]]",
    {
        RunCreated: _created,
        RunClaimed: _claimed,
        RunSuspended: _suspended,
        RunParked: _parked,
        RunCompleted: _ended,
        RunFailed: _ended,
        RunTerminated: _ended,
        RunStopRequested: _stop_requested,
        RunPaused: _paused,
        RunResumed: _paused,
        ReviewRequested: _review_requested,
        ReviewDecided: _review_decided,
    },
)

TOPICS = topics_of(*_HANDLERS)
