"""Folds that must know every type of event know it: a new type cannot be forgotten in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import pytest

from api.live import event_translator, messages
from domain import budgets, large_values, run_life, storage, users
from domain import credits as accounts
from domain.engine import evolve as engine
from domain.events import Event, UnknownEventType, registered
from domain.graphs import graph
from domain.runs import (
    BudgetExtended,
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
    RunCompleted,
    RunCreated,
    RunParked,
    RunPaused,
    RunResumed,
    RunStopRequested,
    RunSuspended,
)
from projections.catalogue import PROJECTIONS
from projections.credits import Sums
from projections.projection import Projection, Recorded
from projections.runs import changes
from tests.support.filled import filled
from workers.dispatcher import publisher

NODES: set[type[Event]] = {NodeStarted, NodeDeferred, NodeRetried, NodeCompleted, NodeFailed}
MORE: set[type[Event]] = {CreditsExtended, BudgetExtended}
LIFE: set[type[Event]] = {
    RunCreated,
    RunClaimed,
    RunSuspended,
    RunParked,
    RunStopRequested,
    RunPaused,
    RunResumed,
    RunCompleted,
    ChildStarted,
    *MORE,
}
REVIEW = ReviewRequested(1, "node", "name", None, ReviewReason.ASKED)


def types_of(noun: str) -> set[type[Event]]:
    """Every registered type whose name begins with this noun."""
    return {kind.cls for topic, kind in registered().items() if topic.startswith(f"{noun}.")}


@pytest.mark.parametrize(
    ("handled", "left_out"),
    [
        pytest.param(engine._HANDLERS, set(), id="the engine needs all"),
        pytest.param(run_life._CHANGING, NODES | MORE, id="commands look at no node and no cost"),
        pytest.param(
            changes._HANDLERS,
            NODES | MORE | {ChildStarted},
            id="lists show totals, and children by their own creation",
        ),
        pytest.param(
            publisher._HANDLERS,
            NODES | MORE | {ChildStarted, ReviewRequested},
            id="the dispatcher needs what makes a run want a worker, or not",
        ),
    ],
)
def test_a_fold_of_runs_handles_each_type_or_leaves_it_out_for_a_reason(
    handled: Iterable[type[Event]], left_out: set[type[Event]]
) -> None:
    assert set(handled) | left_out == types_of("runs")
    assert set(handled).isdisjoint(left_out)


def test_whatever_changes_the_life_of_a_run_does_change_it() -> None:
    """A type that only stands in the list, and that the fold has no case for, would be lost."""
    for cls in set(run_life._CHANGING) - {RunCreated}:
        life = run_life.evolve(None, filled(RunCreated))
        if cls is ReviewDecided:
            run_life.evolve(life, REVIEW)
            run_life.evolve(life, ReviewDecided(REVIEW.execution, REVIEW.node, approved=True))
            assert not life.reviews
            continue
        life.is_paused = cls is RunResumed
        before = msgspec.json.encode(life)
        version = life.version
        run_life.evolve(life, filled(cls))
        life.version = version
        assert msgspec.json.encode(life) != before, cls


LEFT_OUT: Mapping[str, tuple[str, set[type[Event]]]] = {
    "graphs": ("graphs", {graph.SettingsChanged}),
    "runs": ("runs", NODES | MORE | {ChildStarted}),
    "reviews": ("runs", NODES | LIFE),
    "credits": ("credits", set()),
}
"""What each read model does not show, with the noun that it is about: lists of graphs show no
settings, those of runs totals only, and those of reviews questions and what makes them void."""


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
def test_a_read_model_follows_each_type_or_leaves_it_out_for_a_reason(
    projection: Projection,
) -> None:
    noun, left_out = LEFT_OUT[projection.name]
    followed = {kind.cls for topic, kind in registered().items() if topic in projection.topics}
    assert followed | left_out == types_of(noun)
    assert followed.isdisjoint(left_out)


def test_clients_are_told_of_each_type_or_it_is_left_out_for_a_reason() -> None:
    """They see no money and no budget, a stop when it is done, and a run when somebody takes it or
    could not."""
    silent = {RunCreated, RunParked, RunStopRequested, *MORE}
    looked_up = set(event_translator.LOOKED_UP)
    for cls in types_of("runs"):
        event = filled(cls)
        recorded = Recorded(1, "run-1", 1, "owner", 1, event)
        sizes = dict.fromkeys(large_values.hashes_in(event), 1)
        says_nothing = messages.of_event(recorded, sizes) is None
        assert says_nothing == (cls in silent | looked_up), cls
    assert looked_up.isdisjoint(silent)


FOLDS: Mapping[str, tuple[Callable[[Any, Event], Any], Any]] = {
    "credits": (accounts.evolve, accounts.Account()),
    "budgets": (budgets.evolve, budgets.NOTHING),
    "users": (users.evolve, None),
    "graphs": (graph.evolve, None),
    "storage": (storage.evolve, storage.Storage()),
}


@pytest.mark.parametrize("noun", FOLDS)
def test_every_type_of_a_noun_is_an_event_of_its_stream(noun: str) -> None:
    evolve, initial = FOLDS[noun]
    opening = {users.UserRegistered, graph.VersionSaved}
    state = initial
    for cls in sorted(types_of(noun), key=lambda cls: cls not in opening):
        after = evolve(state, filled(cls))
        assert after is not None
        state = after


@pytest.mark.parametrize("noun", FOLDS)
def test_an_event_of_another_stream_is_refused(noun: str) -> None:
    evolve, initial = FOLDS[noun]
    with pytest.raises(UnknownEventType):
        evolve(initial, CreditsExtended(1))


def test_the_sums_of_accounts_know_every_movement() -> None:
    sums = Sums()
    for cls in types_of("credits"):
        sums.add(filled(cls))
    with pytest.raises(UnknownEventType):
        sums.add(CreditsExtended(1))
