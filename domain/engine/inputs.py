"""What executions of a node are given: defaults, prepared once, and what links bring over them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from domain.engine.pins import Merging, PinError, has_path, merged_into
from domain.engine.schemas import InputRules, Known
from domain.limits import memory_limits

Prepared = tuple[dict[str, Any], list[tuple[str, str]]]


class Room:
    """How much more may be built once for the nodes of a plan."""

    __slots__ = ("items_left",)

    def __init__(self) -> None:
        self.items_left = memory_limits.PLAN_ITEMS_MAX


class NodeInputs:
    """Prepares what a node is given, as `InputRules.prepare` does with the defaults before it.

    What no given value can change is merged, converted and checked only once, and is then the same
    in all executions. Nobody may change the values of an input.
    """

    __slots__ = (
        "_begun",
        "_defaults",
        "_expected",
        "_has_paths",
        "_is_merged",
        "_laid_over",
        "_problems",
        "_rest",
        "_rules",
    )

    def __init__(
        self,
        rules: InputRules,
        defaults: Mapping[str, Any],
        expected: Collection[str],
        room: Room,
    ) -> None:
        """`expected` are the pins that may be given."""
        self._rules = rules
        self._defaults = defaults
        self._expected = frozenset(expected)
        self._has_paths = any(map(has_path, (*defaults, *expected)))
        self._laid_over = self._replaced() if self._has_paths else {}
        self._is_merged = bool(self._laid_over) or any(map(has_path, expected))
        """Whether what is given is merged with what there is."""
        changed = {*expected, *map(merged_into, expected)}
        fixed = rules.of_pins(lambda pin: pin not in changed)
        self._rest = rules.of_pins(lambda pin: pin in changed)
        self._begun: dict[str, Any] | None = None
        self._problems: list[tuple[str, str]] = []
        merged = self._merged(room)
        if merged is not None:
            self._begun, self._problems = fixed.finish(merged)

    def prepare(self, given: Mapping[str, Any], known: Known | None) -> Prepared:
        """The whole input of an execution, and what is wrong with it (4.4, D5 b-f)."""
        begun = self._begun
        if begun is None or not given.keys() <= self._expected:
            return self._rules.prepare({**self._defaults, **given})
        if self._is_merged:
            try:
                merged = Merging(begun).add({**self._laid_over, **given})
            except PinError as error:
                return {**self._defaults, **given}, [(error.pin, str(error))]
        else:
            merged = {**begun, **given}
        data, problems = self._rest.finish(merged, known)
        return data, [*self._problems, *problems] if self._problems else problems

    def takes_unseen(self, pin: str) -> bool:
        """Whether a value at this pin does not decide what becomes of the others."""
        return not self._has_paths and not has_path(pin) and pin not in self._rules.looked_at

    def _replaced(self) -> dict[str, Any]:
        """The defaults among which given ones take their place, where the order counts."""
        led = {merged_into(p) for p in (*self._defaults, *self._expected) if has_path(p)}
        replaced = {merged_into(pin) for pin in self._expected.intersection(self._defaults)} & led
        return {pin: v for pin, v in self._defaults.items() if merged_into(pin) in replaced}

    def _merged(self, room: Room) -> dict[str, Any] | None:
        """The other defaults; None when they cannot be merged, or not be kept."""
        others = {p: v for p, v in self._defaults.items() if p not in self._laid_over}
        merging = Merging({})
        before = merging.items_left
        try:
            merged = merging.add(others)
        except PinError:
            return None
        spent = before - merging.items_left
        if spent > room.items_left:
            return None
        room.items_left -= spent
        return merged
