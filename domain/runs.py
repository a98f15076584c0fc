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

from domain.events import Event, event

Output = tuple[str, Any]


class RunStatus(StrEnum):
    """One set of words for runs and node executions (spec/3-engine-rules.md 4.1)."""

    INCOMPLETE = "INCOMPLETE"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"
    FAILED = "FAILED"
    REVIEW = "REVIEW"


TERMINAL = frozenset({RunStatus.COMPLETED, RunStatus.TERMINATED, RunStatus.FAILED})


class RunStats(msgspec.Struct, frozen=True, omit_defaults=True):
    """Totals of a run: executions started, executions failed, credits, time inside nodes.

    `wall_us` is how long the worker that ended the run had it in hand. A short run is one append,
    so the recorded times of its events do not tell.
    """

    steps: int = 0
    errors: int = 0
    cost: int = 0
    nodes_us: int = 0
    wall_us: int = 0


@event("runs.RunCreated")
class RunCreated(Event, frozen=True):
    """A run of one graph version was accepted. `steps_max` is its budget of node executions."""

    user_id: str
    graph_id: str
    graph_version: int
    inputs: dict[str, Any]
    steps_max: int
    held: int = 0
    """Credits set aside for it, under the run's id."""


@event("runs.RunClaimed")
class RunClaimed(Event, frozen=True):
    """A worker took the run. Whoever claimed before can append nothing any more."""

    worker: str


@event("runs.NodeStarted")
class NodeStarted(Event, frozen=True):
    """The intent of an effect: it may have happened from here on. `attempt` counts from 1."""

    execution: int
    node: str
    attempt: int = 1


@event("runs.NodeDeferred")
class NodeDeferred(Event, frozen=True):
    """The node waits until a moment; a restart waits only for what is left."""

    execution: int
    node: str
    until: datetime


@event("runs.NodeCompleted")
class NodeCompleted(Event, frozen=True):
    execution: int
    node: str
    outputs: list[Output]
    elapsed_us: int
    cost: int = 0


@event("runs.NodeFailed")
class NodeFailed(Event, frozen=True):
    """`outputs` came before the failure and stay valid (4.8, N3)."""

    execution: int
    node: str
    error: str
    elapsed_us: int
    outputs: list[Output] = msgspec.field(default_factory=list)


@event("runs.CreditsExtended")
class CreditsExtended(Event, frozen=True):
    """More credits were set aside, because the run costs more than was held at its start."""

    amount: int


@event("runs.RunCompleted")
class RunCompleted(Event, frozen=True):
    """Nothing was left to do; nodes may have failed (4.8, N5)."""

    stats: RunStats


@event("runs.RunFailed")
class RunFailed(Event, frozen=True):
    error: str
    stats: RunStats


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
