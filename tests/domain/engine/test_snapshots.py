"""Folds of runs in bytes: whole at any moment, and told apart by their format."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from domain.engine import snapshots
from domain.engine.evolve import evolve
from domain.engine.run import Run
from domain.runs import ReviewDecided, ReviewReason, ReviewRequested
from tests.domain.engine.given import Given, created, plan

SHOW = "from domain.engine import snapshots; print(snapshots.FORMAT)"
THREE = ("a.out > d.a", "b.out > d.a", "c.out > d.a")


def test_what_was_taken_and_not_begun_is_ready_again_and_first() -> None:
    run = Given(*THREE).run
    run.take()
    run.take()
    thawed = snapshots.thaw("run", run.plan, snapshots.read(snapshots.freeze(run)))
    assert [*thawed.ready] == [0, 1, 2]
    assert thawed.taken == thawed.open == {}


def test_what_was_put_back_is_taken_in_the_same_order() -> None:
    run = Given(*THREE).run
    run.take()
    run.take()
    assert ([*run.taken], [*run.ready]) == ([0, 1], [2])
    run.put_back()
    assert ([*run.taken], [*run.ready]) == ([], [0, 1, 2])


def test_what_a_person_was_asked_about_is_ready_after_what_was_ready_before() -> None:
    asked = ReviewRequested(0, "a", "name", None, ReviewReason.ASKED)
    decided = ReviewDecided(0, "a", approved=True)
    driven, folded = (Run("run", plan(*THREE)) for _ in range(2))
    evolve(driven, created())
    evolve(folded, created())
    driven.take()
    for run in (driven, folded):
        evolve(run, asked)
        evolve(run, decided)
    assert [*driven.ready] == [*folded.ready] == [1, 2, 0]
    assert snapshots.freeze(driven) == snapshots.freeze(folded)


def test_the_format_is_the_same_in_every_process() -> None:
    command = [sys.executable, "-c", SHOW]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(shown) == snapshots.FORMAT
    assert 0 <= snapshots.FORMAT < 2**31


def test_the_format_follows_from_what_is_kept() -> None:
    fields = [(field.name, field.type) for field in msgspec.structs.fields(snapshots.FrozenNode)]
    changed = (
        fields,
        fields[::-1],
        fields[1:],
        [*fields, ("more", int)],
        [(fields[0][0], int), *fields[1:]],
    )
    kept = [msgspec.defstruct("Kept", each) for each in changed]
    around = [msgspec.defstruct("Around", [("inside", list[each])]) for each in kept]  # type: ignore[valid-type]
    formats = {snapshots.format_of(each) for each in (*kept, *around)}
    assert len(formats) == 2 * len(changed)
