"""Runs: what can happen to one, as the log keeps it.

A run's executions are numbered from 0 in the order in which the engine creates them; the number
and the run's id name a node execution everywhere. How the engine moves is in `domain/engine/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from domain.budgets import NOTHING, Allotment, Tree
from domain.events import Event, event

Output = tuple[str, Any]


class RunStatus(StrEnum):
    """One set of words for runs and node executions (docs/engine-rules.md, 4.1)."""

    INCOMPLETE = "INCOMPLETE"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"
    FAILED = "FAILED"
    REVIEW = "REVIEW"


class ReviewReason(StrEnum):
    """Why a person is asked."""

    ASKED = "asked"
    """The node is there to ask."""
    SENSITIVE = "sensitive"
    """What the node does shall not happen without consent."""
    IN_DOUBT = "in_doubt"
    """Its effect may have happened already; approving means to do it (again)."""


TERMINAL = frozenset({RunStatus.COMPLETED, RunStatus.TERMINATED, RunStatus.FAILED})


class Outcome(StrEnum):
    """How a completed run went, which its status does not tell."""

    COMPLETED = "completed"
    WITH_ERRORS = "completed_with_errors"
    DEAD_ENDED = "dead_ended"
    """No node failed, and some waited in vain for inputs."""


class RunStats(msgspec.Struct, frozen=True, omit_defaults=True):
    """Totals of a run: executions and credits with those of its sub-graphs, failed ones, time.

    `wall_us` is how long the worker that ended the run had it in hand. A short run is few appends,
    so the recorded times of its events do not tell. `waiting` counts executions of the run itself
    that never got all their inputs. `left` is what it has of its allotment and did not use.
    """

    steps: int = 0
    errors: int = 0
    cost: int = 0
    nodes_us: int = 0
    wall_us: int = 0
    waiting: int = 0
    left: Allotment = NOTHING

    @property
    def outcome(self) -> Outcome:
        """The outcome of a run that completed with these totals."""
        if self.errors:
            return Outcome.WITH_ERRORS
        return Outcome.DEAD_ENDED if self.waiting else Outcome.COMPLETED


class Parent(msgspec.Struct, frozen=True):
    """The node execution that a sub-graph's run belongs to. `depth` is 1 for its direct children.

    The child's id is that of the node execution, so whoever resumes the parent finds it again.
    """

    run_id: str
    execution: int
    depth: int


class Fork(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run takes over from another: all that happened there up to `version`.

    `inputs` are laid over those of `execution`, or without one over the run's own inputs.
    `retried` are failed executions that run again. `depth` counts the forks in a row.
    """

    run_id: str
    version: int
    depth: int = 1
    execution: int | None = None
    inputs: dict[str, Any] = {}
    retried: tuple[int, ...] = ()


@event("runs.RunCreated")
class RunCreated(Event, frozen=True):
    """A run of one graph version was accepted.

    Its budget: `steps_max` node executions, `seconds_max` from the first claim on, `credits_max`.
    Where there may be sub-graphs, `tree` says how they share it.
    Without `asks` nobody is asked: what waits for a person's word counts as approved.
    """

    user_id: str
    graph_id: str
    graph_version: int
    inputs: dict[str, Any]
    steps_max: int
    held: int = 0
    """Credits set aside for it, under the run's id."""
    seconds_max: float | None = None
    credits_max: int | None = None
    parent: Parent | None = None
    fork: Fork | None = None
    skipped: tuple[str, ...] = ()
    """Nodes whose optional credentials are missing (4.2, R8)."""
    asks: bool = True
    asks_sensitive: bool = False
    large: dict[str, str] = msgspec.field(default_factory=dict)
    """Inputs kept by content hash, by name; they are null in `inputs`."""
    tree: Tree | None = None
    """None: no sub-graphs, or from before they shared a budget."""


@event("runs.RunClaimed")
class RunClaimed(Event, frozen=True):
    """A worker took the run. Whoever claimed before can append nothing any more.

    It is durable before anything of the run is handled, so deaths are counted too. `alone`: workers
    have died over it, and this one drives no other such run; it claims the run once more, no longer
    alone, when it has lived for long enough.
    """

    worker: str
    alone: bool = False


@event("runs.RunSuspended")
class RunSuspended(Event, frozen=True):
    """The worker let go: nothing to do until a moment, or until something comes from outside.

    `seen` is the position in the log up to which ends of sub-graphs have been considered.
    """

    stats: RunStats
    until: datetime | None = None
    seen: int = 0


@event("runs.RunParked")
class RunParked(Event, frozen=True):
    """No worker can take the run, for a reason that is not the run's own: it cannot be read, say,
    because a newer program wrote to it. It is tried again at `until`, and nothing of it is lost.
    """

    reason: str
    until: datetime


@event("runs.RunStopRequested")
class RunStopRequested(Event, frozen=True):
    """From outside: the run shall end now."""


@event("runs.RunPaused")
class RunPaused(Event, frozen=True):
    """From outside: nothing further shall start; what is at work may finish."""


@event("runs.RunResumed")
class RunResumed(Event, frozen=True):
    """From outside: the run shall go on."""


@event("runs.NodeStarted")
class NodeStarted(Event, frozen=True):
    """The intent of an effect: it may have happened from here on. `attempt` counts from 1.

    `repeats` says that the attempt before has no known outcome: its effect may happen twice.
    """

    execution: int
    node: str
    attempt: int = 1
    repeats: bool = False


@event("runs.NodeDeferred")
class NodeDeferred(Event, frozen=True):
    """The node waits until a moment; a restart waits only for what is left."""

    execution: int
    node: str
    until: datetime


@event("runs.NodeRetried")
class NodeRetried(Event, frozen=True):
    """An attempt failed and another one is made at `until`; nothing of it is delivered."""

    execution: int
    node: str
    attempt: int
    error: str
    elapsed_us: int
    until: datetime
    cost: int = 0


@event("runs.ReviewRequested")
class ReviewRequested(Event, frozen=True):
    """The node waits for a person's word on `data`; other branches go on (4.11)."""

    execution: int
    node: str
    name: str
    data: Any
    reason: ReviewReason
    editable: bool = False
    large: str | None = None
    """The hash of `data` if that is too large for an event; it is null here then."""


@event("runs.ReviewDecided")
class ReviewDecided(Event, frozen=True):
    """From outside: a person's word. With `auto_approve` it holds for later ones of the node."""

    execution: int
    node: str
    approved: bool
    data: Any = None
    message: str = ""
    edited: bool = False
    auto_approve: bool = False


@event("runs.ChildStarted")
class ChildStarted(Event, frozen=True):
    """The node became a run of its own, created in the same append; the node waits for its end.

    Until then the allotment is the child's, and what is left of it then comes back.
    """

    execution: int
    node: str
    child: str
    allotment: Allotment = NOTHING


@event("runs.NodeCompleted")
class NodeCompleted(Event, frozen=True):
    """`large` are outputs kept by content hash, by index; they are null in `outputs`."""

    execution: int
    node: str
    outputs: list[Output]
    elapsed_us: int
    cost: int = 0
    large: dict[int, str] = msgspec.field(default_factory=dict)
    child: RunStats | None = None
    """Totals of the sub-graph that the node was."""


@event("runs.NodeFailed")
class NodeFailed(Event, frozen=True):
    """`outputs` came before the failure and stay valid (4.8, N3)."""

    execution: int
    node: str
    error: str
    elapsed_us: int
    outputs: list[Output] = msgspec.field(default_factory=list)
    large: dict[int, str] = msgspec.field(default_factory=dict)
    child: RunStats | None = None
    cost: int = 0


@event("runs.CreditsExtended")
class CreditsExtended(Event, frozen=True):
    """More credits were set aside, because the run costs more than was held at its start."""

    amount: int


@event("runs.BudgetExtended")
class BudgetExtended(Event, frozen=True):
    """The run took more of the budget of its tree, because its allotment did not do."""

    allotment: Allotment


@event("runs.RunCompleted")
class RunCompleted(Event, frozen=True):
    """Nothing was left to do; nodes may have failed (4.8, N5).

    `parent` is the run that this one is a part of, and `returned` what it hands back to it.
    """

    stats: RunStats
    parent: str | None = None
    returned: list[Output] = msgspec.field(default_factory=list)
    large: dict[int, str] = msgspec.field(default_factory=dict)


@event("runs.RunFailed")
class RunFailed(Event, frozen=True):
    error: str
    stats: RunStats
    parent: str | None = None


@event("runs.RunTerminated")
class RunTerminated(Event, frozen=True):
    """The run was stopped."""

    stats: RunStats
    parent: str | None = None


RunEnd = RunCompleted | RunFailed | RunTerminated
"""Always the last event of a run's stream."""

FROM_OUTSIDE = (RunStopRequested, RunPaused, RunResumed, ReviewDecided)
"""Appended by commands while a worker drives the run. They route nothing, so it does not matter
in which order they and the worker's own events are folded."""


def by_pin(outputs: Iterable[Output]) -> dict[str, list[Any]]:
    """What was yielded, by pin; nulls stay in the log and are left out here (4.8, N7)."""
    pins: dict[str, list[Any]] = {}
    for name, value in outputs:
        if value is not None:
            pins.setdefault(name, []).append(value)
    return pins


def execution_id(run_id: str, number: int) -> str:
    """The id of a node execution, a version 5 UUID: the same for whoever reads the stream."""
    digest = hashlib.sha1(f"{run_id}/{number}".encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def stream_of(run_id: str) -> str:
    return f"run-{run_id}"


def run_of(stream: str) -> str:
    """The run's id in the name of its stream."""
    return stream.removeprefix("run-")
