"""What an attack is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from benchmarks.neighbours.nuisance import Nuisance, nothing_else


class Attack(NamedTuple):
    """`place` is what it has done, at least, when it is one: before that nobody is looked at.

    `agent` is what the victim runs meanwhile, with the address of a good service: an agent that
    wants what the attack takes.
    """

    act: Callable[[Nuisance], Coroutine[Any, Any, None]]
    place: Mapping[str, int]
    agent: Callable[[str], dict[str, Any]] = lambda _: nothing_else()

    def lacking(self, done: Mapping[str, int]) -> dict[str, str]:
        """What an attack that has done this has not done enough."""
        return {
            name: f"{done.get(name, 0)} of {least}"
            for name, least in self.place.items()
            if done.get(name, 0) < least
        }
