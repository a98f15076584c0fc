"""What commands see of a run, and what they may do to it as it stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import events, run_life
from domain.budgets import NOTHING, Allotment, Tree
from domain.engine.evolve import evolve
from domain.engine.run import Run
from domain.errors import Conflict
from domain.events import Event
from domain.graphs.files import Node
from domain.limits import value_limits, worker_limits
from domain.run_life import Life
from domain.runs import (
    ChildStarted,
    NodeCompleted,
    Parent,
    ReviewDecided,
    ReviewReason,
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
)
from tests.domain.engine.given import created, plan

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATS = RunStats(steps=3, cost=2)
CLAIMED, RESTED = RunClaimed("worker"), RunSuspended(stats=STATS)


BELOW = RunCreated("user", "graph", 1, {}, steps_max=1, parent=Parent("above", 3, 1))


def asked(execution: int = 0, **what: Any) -> ReviewRequested:
    known = {"name": "Letter", "data": "text", "reason": ReviewReason.ASKED} | what
    return ReviewRequested(execution=execution, node=f"n{execution}", **known)


def after(*happened: Event, first: RunCreated | None = None) -> Life:
    life = run_life.evolve(None, first or created())
    for event in happened:
        life = run_life.evolve(life, event)
    return life


# --- as the engine sees it -----------------------------------------------------------------------
ACTS = ("claim", "rest", "ask", "decide", "child", "finish", "stop", "pause", "resume", "end")
NODES = [Node(f"n{number}", "step") for number in range(6)]


def next_event(run: Run, act: str, place: int) -> Event | None:
    """What the act means at this state of the run; None where it is impossible."""
    everyone = [e for e in run.executions.values() if not e.is_finished]
    of = {status: [e.number for e in everyone if e.status is status] for status in RunStatus}
    numbers = of[RunStatus.REVIEW] if act == "decide" else of[RunStatus.QUEUED]
    if act in {"ask", "decide", "child", "finish"} and not numbers:
        return None
    number = numbers[place % len(numbers)] if numbers else 0
    return {
        "claim": CLAIMED,
        "rest": RunSuspended(stats=run.stats),
        "ask": asked(number),
        "decide": ReviewDecided(execution=number, node=f"n{number}", approved=True),
        "child": ChildStarted(execution=number, node=f"n{number}", child=f"child {number}"),
        "finish": NodeCompleted(number, f"n{number}", [], elapsed_us=1, cost=1),
        "stop": RunStopRequested(),
        "pause": RunPaused(),
        "resume": RunResumed(),
        "end": (
            RunCompleted(run.stats), RunFailed("broken", run.stats), RunTerminated(run.stats)
        )[place % 3],
    }[act]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 5)), max_size=30))
def test_commands_and_the_engine_see_the_same_run(acts: list[tuple[str, int]]) -> None:
    run, life = Run("run", plan(nodes=NODES)), after()
    evolve(run, created())
    for act, place in acts:
        happened = next_event(run, act, place)
        if happened is None:
            continue
        evolve(run, happened)
        life = run_life.evolve(life, happened)
        assert (life.version, life.status, life.worker) == (run.version, run.status, run.worker)
        assert (life.is_paused, life.is_stopping) == (run.is_paused, run.is_stopping)
        if isinstance(happened, RunSuspended | RunEnd):
            assert life.stats == run.stats
        if run.is_ended:
            break
        waiting = {e.number for e in run.executions.values() if e.status is RunStatus.REVIEW}
        assert set(life.reviews) == waiting


def test_only_events_that_are_not_about_work_are_read() -> None:
    for event in (CLAIMED, RESTED, asked(), RunTerminated(STATS), created()):
        assert events.topic_of(type(event)) in run_life.TOPICS
    for name in ("NodeStarted", "NodeCompleted", "NodeFailed", "NodeRetried", "NodeDeferred"):
        assert f"runs.{name}@1" not in run_life.TOPICS


def test_a_stream_begins_with_its_creation() -> None:
    with pytest.raises(AssertionError, match="begins with its creation"):
        run_life.evolve(None, CLAIMED)


def test_the_last_open_version_is_the_one_before_the_end() -> None:
    assert after(CLAIMED).last_open_version == 2
    assert after(CLAIMED, RunCompleted(STATS)).last_open_version == 2


# --- stop ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "happened",
    [(), (CLAIMED, RESTED), (CLAIMED, asked(), RESTED), (CLAIMED, RunStopRequested(), RESTED)],
    ids=["queued", "resting", "in review", "resting though told to stop"],
)
def test_a_run_that_nobody_has_ends_at_once(happened: tuple[Event, ...]) -> None:
    life = after(*happened)
    assert run_life.stop(life) == [RunTerminated(life.stats)]
    assert run_life.status_after(life, run_life.stop(life)) is RunStatus.TERMINATED


def test_what_nobody_can_have_used_is_left_when_a_run_is_stopped() -> None:
    """Behind a claim somebody may have: what was lost with a worker counts as used."""
    some, less = Allotment(steps=5, runs=1), Allotment(steps=3)
    first = msgspec.structs.replace(created(), tree=Tree(some, NOTHING, some))
    suspended = RunSuspended(stats=RunStats(left=less))
    parked = RunParked("reason", NOON)
    assert run_life.stop(after(first=first)) == [RunTerminated(RunStats(left=some))]
    assert run_life.stop(after(CLAIMED, suspended, first=first)) == [RunTerminated(suspended.stats)]
    lost = after(CLAIMED, suspended, CLAIMED, parked, first=first)
    assert run_life.stop(lost) == [RunTerminated(RunStats())]


def test_a_run_in_hand_is_asked_once_to_end() -> None:
    life = after(CLAIMED)
    assert run_life.stop(life) == [RunStopRequested()]
    assert run_life.status_after(life, run_life.stop(life)) is RunStatus.RUNNING
    assert run_life.stop(after(CLAIMED, RunStopRequested())) == []


@pytest.mark.parametrize(
    "end", [RunCompleted(STATS), RunFailed("broken", STATS), RunTerminated(STATS)]
)
def test_what_has_ended_stays_as_it_is(end: Event) -> None:
    life = after(CLAIMED, end)
    assert run_life.stop(life) == []
    assert run_life.status_after(life, []) is life.status
    for rule in (run_life.pause, run_life.resume):
        with pytest.raises(Conflict, match=f"the run has ended: it is {life.status}"):
            rule(life)


def test_the_end_of_a_child_names_its_parent() -> None:
    assert run_life.stop(after(first=BELOW)) == [RunTerminated(RunStats(), parent="above")]


def test_the_totals_of_the_last_rest_are_those_of_the_end() -> None:
    assert run_life.stop(after(CLAIMED, RESTED)) == [RunTerminated(STATS)]


# --- pause and resume ----------------------------------------------------------------------------
def test_a_run_is_paused_and_resumed_once() -> None:
    for happened in ((), (CLAIMED,), (CLAIMED, RESTED)):
        assert run_life.pause(after(*happened)) == [RunPaused()]
        assert run_life.resume(after(*happened)) == []
        assert run_life.pause(after(*happened, RunPaused())) == []
        assert run_life.resume(after(*happened, RunPaused())) == [RunResumed()]
        assert run_life.pause(after(*happened, RunPaused(), RunResumed())) == [RunPaused()]


def test_who_cannot_be_taken_is_left_alone_longer_each_time() -> None:
    life, waits = after(CLAIMED), []
    for _ in range(12):
        (parked,) = run_life.park(life, "cannot be read", NOON)
        assert isinstance(parked, RunParked)
        waits.append((parked.until - NOON) / timedelta(seconds=1))
        life = run_life.evolve(life, parked)
    assert waits[:3] == [worker_limits.PARK_SECONDS_MIN * factor for factor in (1, 2, 4)]
    assert waits[-1] == worker_limits.PARK_SECONDS_MAX
    assert life.worker is None
    assert run_life.stop(life) == [RunTerminated(RunStats())]
    (parked,) = run_life.park(run_life.evolve(life, CLAIMED), "x" * 10_000, NOON)
    assert isinstance(parked, RunParked)
    assert parked.until - NOON == timedelta(seconds=worker_limits.PARK_SECONDS_MIN)
    assert len(parked.reason) == value_limits.ERROR_CHARS_MAX


def test_what_shall_stop_ends_when_nobody_can_take_it() -> None:
    for happened in ((CLAIMED, RunStopRequested()), (CLAIMED, RunPaused(), RunStopRequested())):
        life = after(*happened)
        assert run_life.park(life, "cannot be read", NOON) == [RunTerminated(life.stats)]
    below = after(CLAIMED, RunStopRequested(), first=BELOW)
    (end,) = run_life.park(below, "cannot be read", NOON)
    assert end == RunTerminated(RunStats(), parent="above")


def test_what_has_ended_is_not_parked() -> None:
    assert run_life.park(after(RunTerminated(STATS)), "cannot be read", NOON) == []
