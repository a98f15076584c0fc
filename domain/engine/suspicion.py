"""Which runs may end the process that drives them, as far as their events tell.

Deaths alone prove little: whoever ended the process, everything that it had in hand was there. So a
run is watched the closer the more often its worker died over it, and given up when that happened
twice while it was the only one under suspicion. A worker that only was away, and renews its lease
again, has not died.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from domain.limits import worker_limits


class Loss(msgspec.Struct, frozen=True, array_like=True):
    """A worker that did not go on with what it had in hand, and whether it watched it alone."""

    worker: str
    alone: bool


@dataclass(frozen=True, slots=True)
class Suspicion:
    """How often a worker died over a run, or over one effect of it, and nothing came of it."""

    subject: str
    """What the workers died over, in words."""
    deaths: int
    alone: int
    """In so many of these it was the only run of its worker that was under suspicion."""

    @property
    def is_any(self) -> bool:
        return self.deaths >= worker_limits.SUSPECT_DEATHS

    @property
    def wants_to_be_alone(self) -> bool:
        return self.deaths >= worker_limits.ALONE_DEATHS

    @property
    def is_proof(self) -> bool:
        return (
            self.alone >= worker_limits.ALONE_DEATHS_MAX or self.deaths >= worker_limits.DEATHS_MAX
        )

    @property
    def watch_seconds(self) -> float:
        """How long it must live until others under suspicion may begin beside it."""
        if not self.wants_to_be_alone:
            return worker_limits.WATCH_SECONDS
        doublings = self.deaths - worker_limits.ALONE_DEATHS
        return min(worker_limits.ALONE_SECONDS * 2.0**doublings, worker_limits.ALONE_SECONDS_MAX)


def suspicion(
    subjects: Iterable[tuple[str, Sequence[Loss]]], living: Collection[str] = ()
) -> Suspicion:
    """That of the most suspect of some subjects, each with what was lost over it.

    `living` are workers that came back: with them nothing was lost.
    """
    found = []
    for subject, lost in subjects:
        dead = [loss for loss in lost if loss.worker not in living]
        alone = sum(loss.alone for loss in dead)
        found.append(Suspicion(subject=subject, deaths=len(dead), alone=alone))
    return max(found, key=lambda one: (one.is_proof, one.deaths, one.alone))
