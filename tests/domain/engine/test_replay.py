"""Random graphs, nodes that finish in any order: one stream, one state, and the rules' own."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import events
from domain.engine import execution, snapshots
from domain.engine.evolve import evolve
from domain.engine.plan import Plan
from domain.engine.run import Run
from domain.events import Event
from domain.graphs.files import Node
from domain.runs import NodeCompleted, NodeDeferred, NodeFailed, NodeStarted, Output, RunStatus
from tests.domain.engine.given import created, plan, watched
from tests.domain.engine.letter import Letter
from tests.domain.engine.test_run import NOON

INPUTS = {"i": 1}
STEPS_THAT_YIELD = 60
"""Loops end here."""


class Move(NamedTuple):
    """What becomes of the unfinished execution at `place`, counted round."""

    what: str
    place: int
    outputs: list[Output]


values: st.SearchStrategy[Any] = st.sampled_from(
    [1, 2, "5", "x", [], {"k": 2}, {"k": None}, None, 0]
)
outputs = st.lists(st.tuples(st.sampled_from(["out", "out", "more"]), values), max_size=5)
moves = st.builds(
    Move,
    st.sampled_from(
        ["take", "take", "put back", "start", "defer", "fail", "complete", "complete", "complete"]
    ),
    st.integers(0, 5),
    outputs,
)

described = [
    Node("i", "input", {"name": "i"}),
    Node("x", "step"),
    Node("y", "step"),
    Node("p", "step", {"b": {"d": 0}, "c": "default"}),
    Node("r", "strict", {"b": "default"}),
    Node("o", "output", {"name": "o"}),
]
sources = [
    "x.out",
    "y.out",
    "x.more",
    "x.out_#_k",
    "y.error",
    "i.result",
    "p.out",
    "p.error",
    "r.out",
]
sinks = ["p.a", "p.a", "p.b", "p.b", "p.b_#_k", "r.a", "r.b", "o.value", "x.a", "i.value"]
links = st.tuples(
    st.sampled_from(sources), st.sampled_from([">", "=>"]), st.sampled_from(sinks)
).map(" ".join)
plans = st.lists(links, min_size=4, max_size=9).map(lambda some: plan(*some, nodes=described))


class Play:
    """A run that somebody drives, the stream that it leaves, and its state at every version."""

    def __init__(self, compiled: Plan, moves: list[Move]) -> None:
        self.plan = compiled
        self.run = watched(compiled)
        self.letter = Letter(compiled, INPUTS)
        self.stream: list[tuple[str, bytes]] = []
        self.states: list[Any] = []
        self._record(created(INPUTS))
        for move in moves:
            numbers = unfinished(self.run)
            if move.what == "take":
                self.run.take()
            elif move.what == "put back":
                self.run.put_back()
            elif numbers:
                self._move(move, numbers[move.place % len(numbers)])

    def _move(self, move: Move, number: int) -> None:
        one = self.run.executions[number]
        node = one.node.node.node_id
        match move.what:
            case "start":
                self._record(NodeStarted(number, node, one.attempt + 1))
            case "defer":
                self._record(NodeDeferred(number, node, NOON))
            case "complete":
                self.letter.finish(number, move.outputs)
                self._record(NodeCompleted(number, node, move.outputs, elapsed_us=1))
            case "fail":
                self.letter.finish(number, [*move.outputs, ("error", "broken")])
                self._record(NodeFailed(number, node, "broken", 1, move.outputs))

    def _record(self, event: Event) -> None:
        topic, state = events.topic_of(type(event)), msgspec.json.encode(event)
        self.stream.append((topic, state))
        evolve(self.run, events.decode(topic, state))
        self.states.append(state_of(self.run))


many_moves = st.lists(moves, min_size=20, max_size=40)
plays = st.builds(Play, plans, many_moves)


def unfinished(run: Run) -> list[int]:
    return [e.number for e in run.executions.values() if e.status in {"QUEUED", "RUNNING"}]


def state_of(run: Run) -> Any:
    """All of a run that anybody can see, copied."""
    executions = [
        (e.number, e.node.node.node_id, e.status, e.given, e.data, e.outputs, e.error, e.attempt,
         e.until, e.queue_number)
        for e in run.executions.values()
    ]  # fmt: skip
    at_hand = {*run.open, *run.taken, *run.ready}
    assert at_hand == set(unfinished(run))
    seen = (run.version, run.status, executions, run.stats, run.outputs_by_name())
    return msgspec.to_builtins(seen)


@given(plays)
def test_a_folded_stream_is_the_live_run_at_every_version(play: Play) -> None:
    replayed = watched(play.plan)
    for (topic, state), live in zip(play.stream, play.states, strict=True):
        evolve(replayed, events.decode(topic, state))
        assert state_of(replayed) == live


def left_to_do(run: Run) -> Any:
    """All of a run that decides how it goes on, copied."""
    unfinished = [
        (e.number, e.status, e.given, e.data, e.attempt, e.until, e.queue_number)
        for e in sorted(run.executions.values(), key=lambda e: e.number)
        if not e.is_finished
    ]
    ready = [*run.taken, *run.ready]
    counts = (run.version, run.count, run.stats, run.failed, sorted(run.open), ready)
    return msgspec.to_builtins((unfinished, counts))


@given(plays)
def test_a_run_that_keeps_nothing_goes_on_in_the_same_way(play: Play) -> None:
    lean, whole = Run("run", play.plan), watched(play.plan)
    for topic, state in play.stream:
        for run in (lean, whole):
            evolve(run, events.decode(topic, state))
        assert left_to_do(lean) == left_to_do(whole)
        assert all(not e.is_finished for e in lean.executions.values())


@given(plays, st.integers(1, 30))
def test_a_snapshot_goes_on_as_the_run_itself(play: Play, cut: int) -> None:
    run = Run("run", play.plan)
    for topic, state in play.stream[:cut]:
        evolve(run, events.decode(topic, state))
    thawed = snapshots.thaw("run", play.plan, snapshots.read(snapshots.freeze(run)))
    assert left_to_do(thawed) == left_to_do(run)
    for topic, state in play.stream[cut:]:
        for one in (run, thawed):
            evolve(one, events.decode(topic, state))
        assert left_to_do(thawed) == left_to_do(run)


def driven_to_its_end(run: Run) -> bytes:
    """Finish all that a driver has, then all that it can take. Nothing that could go on is left."""
    begun = deque([*run.open.values(), *run.taken.values()])
    while (one := begun.popleft() if begun else run.take()) is not None:
        number, node = one.number, one.node.node.node_id
        yielded = [("out", number)] if run.steps < STEPS_THAT_YIELD else []
        evolve(run, NodeCompleted(number, node, yielded, elapsed_us=1))
    assert run.is_drained
    assert unfinished(run) == []
    return snapshots.freeze(run)


@given(plans, many_moves, st.integers(0, 40))
def test_a_run_in_hand_is_frozen_as_its_events_are_and_goes_on_so(
    compiled: Plan, all_moves: list[Move], instant: int
) -> None:
    """What the driver has taken, and no event speaks of, must be begun by who thaws it."""
    play = Play(compiled, all_moves[:instant])
    folded = Run("run", compiled)
    for topic, state in play.stream:
        evolve(folded, events.decode(topic, state))
    frozen = snapshots.freeze(play.run)
    assert frozen == snapshots.freeze(folded)
    thawed = snapshots.thaw("run", compiled, snapshots.read(frozen))
    assert frozen == snapshots.freeze(thawed)
    ends = {driven_to_its_end(run) for run in (play.run, folded, thawed)}
    assert len(ends) == 1


@pytest.mark.parametrize("at_once", [1, execution.COMPACT_ARRIVALS])
@given(plans, many_moves)
def test_the_queues_do_what_the_rules_say(
    at_once: int, compiled: Plan, all_moves: list[Move]
) -> None:
    """Also when they forget as early as they can what takes nothing any more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "COMPACT_ARRIVALS", at_once)
        play = Play(compiled, all_moves)
    by_letter = [(e.node.node_id, e.given, e.data, e.place) for e in play.letter.entries]
    by_engine = [
        (
            e.node.node.node_id,
            e.given,
            e.data,
            None if e.status is RunStatus.INCOMPLETE else e.queue_number,
        )
        for e in play.run.executions.values()
    ]
    assert by_engine == by_letter


@given(plays)
def test_executions_are_whole_before_they_run_and_finish_once(play: Play) -> None:
    happened = [events.decode(topic, state) for topic, state in play.stream]
    finished = [e.execution for e in happened if isinstance(e, NodeCompleted | NodeFailed)]
    assert len(finished) == len(set(finished))
    queued = [e for e in play.run.executions.values() if e.status is not RunStatus.INCOMPLETE]
    assert all(pin in e.given for e in queued for pin in e.node.node.linked_pins)
    assert sorted(e.queue_number for e in queued) == list(range(play.run.steps))
