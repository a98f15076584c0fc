"""Folds that must know every type of event know it: a new type cannot be forgotten in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from domain import credits as accounts
from domain import graphs, run_life, users
from domain.engine import evolve as engine
from domain.events import Event, UnknownEventType, registered
from domain.runs import (
    ChildStarted,
    CreditsExtended,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    ReviewRequested,
)
from projections import run_changes
from projections.credits import Sums
from tests.support.filled import filled
from workers.dispatcher import ringer

NODES = {NodeStarted, NodeDeferred, NodeRetried, NodeCompleted, NodeFailed}


def types_of(noun: str) -> set[type[Event]]:
    """Every registered type whose name begins with this noun."""
    return {kind.cls for topic, kind in registered().items() if topic.startswith(f"{noun}.")}


@pytest.mark.parametrize(
    ("handled", "left_out"),
    [
        pytest.param(engine._HANDLERS, set(), id="the engine needs all"),
        pytest.param(
            run_life._CHANGING, NODES | {CreditsExtended}, id="commands look at no node and no cost"
        ),
        pytest.param(
            run_changes._HANDLERS,
            NODES | {CreditsExtended, ChildStarted},
            id="lists show totals, and children by their own creation",
        ),
        pytest.param(
            ringer._HANDLERS,
            NODES | {CreditsExtended, ChildStarted, ReviewRequested},
            id="the dispatcher needs what makes a run want a worker, or not",
        ),
    ],
)
def test_a_fold_of_runs_handles_each_type_or_leaves_it_out_for_a_reason(
    handled: Iterable[type[Event]], left_out: set[type[Event]]
) -> None:
    assert set(handled) | left_out == types_of("runs")
    assert set(handled).isdisjoint(left_out)


FOLDS: Mapping[str, tuple[Callable[[Any, Event], Any], Any]] = {
    "credits": (accounts.evolve, accounts.Account()),
    "users": (users.evolve, None),
    "graphs": (graphs.evolve, None),
}


@pytest.mark.parametrize("noun", FOLDS)
def test_every_type_of_a_noun_is_an_event_of_its_stream(noun: str) -> None:
    evolve, initial = FOLDS[noun]
    opening = {users.UserRegistered, graphs.VersionSaved}
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
