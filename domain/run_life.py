"""A run as commands see it: who has it, what it waits for, what it has cost. No node is looked at.

Its events are few however long the run is, so whoever decides about it need not read the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from domain import events
from domain.budgets import NOTHING
from domain.errors import Conflict
from domain.events import Event
from domain.limits import value_limits, worker_limits
from domain.runs import (
    TERMINAL,
    ChildStarted,
    Parent,
    ReviewDecided,
    ReviewRequested,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunParked,
    RunPaused,
    RunResumed,
    RunStats,
    RunStatus,
    RunStopRequested,
    RunSuspended,
    RunTerminated,
)

_ENDS: Mapping[type[Event], RunStatus] = {
    RunCompleted: RunStatus.COMPLETED,
    RunFailed: RunStatus.FAILED,
    RunTerminated: RunStatus.TERMINATED,
}
_CHANGING: tuple[type[Event], ...] = (
    RunCreated,
    RunClaimed,
    RunSuspended,
    RunParked,
    RunStopRequested,
    RunPaused,
    RunResumed,
    ReviewRequested,
    ReviewDecided,
    ChildStarted,
    *_ENDS,
)
_NAMES = {events.topic_of(cls).partition("@")[0] for cls in _CHANGING}

TOPICS = frozenset(topic for topic in events.topics() if topic.partition("@")[0] in _NAMES)
"""Of the events that change a Life, in all versions ever written."""


class Life(msgspec.Struct):
    """The state of a run at `version` of its stream; `evolve` changes it in place.

    `reviews` wait for a decision, by execution. `stats` are those of its last suspension or
    its end; what is `left` in them is nothing when somebody may have used it since.
    """

    created: RunCreated
    version: int = 1
    status: RunStatus = RunStatus.QUEUED
    worker: str | None = None
    is_stopping: bool = False
    is_paused: bool = False
    parkings: int = 0
    """How often it was parked since a worker took it last."""
    reviews: dict[int, ReviewRequested] = {}
    children: list[str] = []
    stats: RunStats = RunStats()

    @property
    def user_id(self) -> str:
        return self.created.user_id

    @property
    def graph_id(self) -> str:
        return self.created.graph_id

    @property
    def parent(self) -> Parent | None:
        return self.created.parent

    @property
    def is_ended(self) -> bool:
        return self.status in TERMINAL

    @property
    def last_open_version(self) -> int:
        """The last version at which the run had not ended."""
        return self.version - 1 if self.is_ended else self.version


def evolve(life: Life | None, happened: Event) -> Life:  # noqa: C901 - a case for each type
    """The life after one more event of the stream; what is not of TOPICS only counts.

    Whoever leaves such events out sets `version` afterwards.
    """
    if life is None:
        assert isinstance(happened, RunCreated), "a run's stream begins with its creation"
        left = NOTHING if happened.tree is None else happened.tree.allotment
        return Life(created=happened, stats=RunStats(left=left))
    life.version += 1
    match happened:
        case RunClaimed(worker=worker):
            life.worker = worker
            life.status = RunStatus.RUNNING
            life.parkings = 0
            life.stats = msgspec.structs.replace(life.stats, left=NOTHING)
        case RunSuspended(stats=stats):
            life.worker = None
            life.stats = stats
            life.status = RunStatus.REVIEW if life.reviews else life.status
        case RunParked():
            life.worker = None
            life.parkings += 1
        case RunCompleted(stats=stats) | RunFailed(stats=stats) | RunTerminated(stats=stats):
            life.stats = stats
            life.status = _ENDS[type(happened)]
        case RunStopRequested():
            life.is_stopping = True
        case RunPaused() | RunResumed():
            life.is_paused = isinstance(happened, RunPaused)
        case ReviewRequested(execution=execution):
            life.reviews[execution] = happened
        case ReviewDecided(execution=execution):
            del life.reviews[execution]
        case ChildStarted(child=child):
            life.children.append(child)
    return life


def stop(life: Life) -> list[Event]:
    """End the run: at once when no worker has it, otherwise by asking the one that has."""
    if life.is_ended:
        return []
    if life.worker is None:
        return [_terminated(life)]
    return [] if life.is_stopping else [RunStopRequested()]


def pause(life: Life) -> list[Event]:
    """Let nothing further of the run start. Raises Conflict when it has ended."""
    _require_open(life)
    return [] if life.is_paused else [RunPaused()]


def resume(life: Life) -> list[Event]:
    """Let a paused run go on. Raises Conflict when it has ended."""
    _require_open(life)
    return [RunResumed()] if life.is_paused else []


def park(life: Life, reason: str, now: datetime) -> list[Event]:
    """Set the run aside, each time for twice as long, until somebody can take it.

    One that shall stop needs nobody who can: it ends.
    """
    if life.is_ended:
        return []
    if life.is_stopping:
        return [_terminated(life)]
    seconds = min(
        worker_limits.PARK_SECONDS_MIN * 2.0**life.parkings, worker_limits.PARK_SECONDS_MAX
    )
    shown = reason[: value_limits.ERROR_CHARS_MAX]
    return [RunParked(reason=shown, until=now + timedelta(seconds=seconds))]


def status_after(life: Life, happened: Sequence[Event]) -> RunStatus:
    """The status behind what was decided here about the run, without changing `life`."""
    return _ENDS.get(type(happened[-1]), life.status) if happened else life.status


def _terminated(life: Life) -> RunTerminated:
    parent = None if life.parent is None else life.parent.run_id
    return RunTerminated(stats=life.stats, parent=parent)


def _require_open(life: Life) -> None:
    if life.is_ended:
        raise Conflict(f"the run has ended: it is {life.status}")
