"""Pin names that reach into values: `out_#_key`, `out_$_0`, `out_@_attribute`, tool pins.

On a link's source such a name selects a part of what the block emitted; on its sink it builds a
part of the pin's value. An attribute of a JSON value is a key of its object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from domain.limits import graph_limits, value_limits

TOOLS_PIN = "tools"

_DELIMITER = re.compile(r"_([#$@])_")
_INDEX = re.compile(r"-?[0-9]{1,9}")
_TOOL_PREFIX = "tools_^_"
_TOOL_FIELD = "_~_"

Step = str | int
"""A key of an object, or an index of a list."""

_NOTHING: tuple[bool, Any] = (False, None)


class PinError(ValueError):
    """A pin name that cannot be assigned to; `pin` is the name as it was given."""

    def __init__(self, pin: str, message: str) -> None:
        super().__init__(message)
        self.pin = pin


class Selector(msgspec.Struct, frozen=True):
    """What a link takes from an output of its source node.

    `emitted` is the output pin without its path; `whole` is the name that is delivered as it is,
    null included; `addressed` is the tool pin that means this link's sink.
    """

    emitted: str
    whole: str | None
    path: tuple[Step, ...] = ()
    addressed: str | None = None

    def select(self, name: str, value: Any) -> tuple[bool, Any]:
        """Whether the output `(name, value)` goes over the link, and what arrives."""
        if name == self.whole:
            return True, value
        if name == self.addressed:
            return value is not None, value
        if name != self.emitted or not self.path:
            return _NOTHING
        for step in self.path:
            if isinstance(step, str):
                if type(value) is not dict or step not in value:
                    return _NOTHING
            elif type(value) is not list or not -len(value) <= step < len(value):
                return _NOTHING
            value = value[step]
        return value is not None, value


class Target(msgspec.Struct, frozen=True):
    """Where an input lands: in the pin `base`, at `path` inside its value (empty: all of it)."""

    base: str
    path: tuple[Step, ...] = ()


def base_pin(name: str) -> str:
    """The declared pin that `name` belongs to."""
    if _is_tool_pin(name):
        return TOOLS_PIN
    found = _DELIMITER.search(name)
    return name if found is None else name[: found.start()]


def compile_selector(source_name: str, *, sink_id: str = "", sink_name: str = "") -> Selector:
    """The selector of a link. Only a link from `tools` is told apart by its sink."""
    base = base_pin(source_name)
    if base != TOOLS_PIN:
        return Selector(emitted=base, whole=source_name, path=_selected_path(source_name))
    addressed = f"{_TOOL_PREFIX}{sink_id}{_TOOL_FIELD}{sink_name}"
    if _is_tool_pin(source_name) and source_name != addressed:
        return Selector(emitted=base, whole=None, addressed=addressed)
    return Selector(
        emitted=base, whole=source_name, path=_selected_path(source_name), addressed=addressed
    )


def compile_target(sink_name: str) -> Target:
    """The place that `sink_name` assigns to. A name with an empty part is a plain pin of its own.

    Raises PinError when a list index is not a whole number from 0 to LIST_PAD_MAX, when a name
    with a path is longer than NAME_CHARS_MAX, or when its path is deeper than JSON_DEPTH_MAX.
    """
    if len(sink_name) <= value_limits.NAME_CHARS_MAX:
        return _compiled_target(sink_name)
    # Not kept: thousands of names as long as a request would fill the memory.
    base, *parts = _DELIMITER.split(sink_name)
    if _is_plain(base, parts):
        return Target(sink_name)
    raise PinError(sink_name, f"must have at most {value_limits.NAME_CHARS_MAX} characters")


def merge_dynamic(data: dict[str, Any]) -> dict[str, Any]:
    """`data` with every pin that has a path also merged into its base pin, in the order of `data`.

    Returns `data` itself when no name has a path. Its containers are never changed: those on a
    path are copied. A container of the other kind is converted as coercion would, a scalar gives
    way. Raises PinError as `compile_target` does, when the paths have more than PATH_ITEMS_MAX
    steps, with the items that are copied, converted and padded with, or when one pin's path turns
    an object into a list more than JSON_DEPTH_MAX times, for each time nests it deeper.
    """
    for name in data:
        if _leads_on(name):
            return Merging({}).add(data)
    return data


def has_path(name: str) -> bool:
    """Whether `merge_dynamic` would look at a pin of this name."""
    return _DELIMITER.search(name) is not None


def merged_into(name: str) -> str:
    """The pin that `merge_dynamic` changes for a pin of this name: itself, if it has no path."""
    return _DELIMITER.split(name, 1)[0]


def steps_of(name: str) -> int:
    """About how many steps the path of a pin has, and no fewer."""
    return name.count("_#_") + name.count("_$_") + name.count("_@_")


@lru_cache(maxsize=4096)
def _compiled_target(sink_name: str) -> Target:
    base, *parts = _DELIMITER.split(sink_name)
    if _is_plain(base, parts):
        return Target(sink_name)
    path = _steps(parts)
    if len(path) > value_limits.JSON_DEPTH_MAX:
        raise PinError(sink_name, f"must lead at most {value_limits.JSON_DEPTH_MAX} levels deep")
    for step, token in zip(path, parts[1::2], strict=True):
        if step is None or (type(step) is int and not 0 <= step <= graph_limits.LIST_PAD_MAX):
            raise PinError(
                sink_name,
                f"{token!r} is not a list index: it must be a whole number "
                f"from 0 to {graph_limits.LIST_PAD_MAX}",
            )
    return Target(base, tuple(step for step in path if step is not None))


def _is_plain(base: str, parts: list[str]) -> bool:
    return not parts or not base or not all(parts)


def _is_tool_pin(name: str) -> bool:
    return name.startswith(_TOOL_PREFIX) and _TOOL_FIELD in name


def _steps(parts: list[str]) -> list[Step | None]:
    """`parts` alternate delimiter and token; None stands for an index that is none."""
    steps: list[Step | None] = []
    for delimiter, token in zip(parts[::2], parts[1::2], strict=True):
        if delimiter != "$":
            steps.append(token)
        else:
            steps.append(int(token) if _INDEX.fullmatch(token) else None)
    return steps


def _selected_path(source_name: str) -> tuple[Step, ...]:
    """Empty when the name has no path, or one that leads nowhere."""
    _, *parts = _DELIMITER.split(source_name)
    if not all(parts):
        return ()
    steps = _steps(parts)
    known = tuple(step for step in steps if step is not None)
    return known if len(known) == len(steps) else ()


def _leads_on(name: str) -> bool:
    return "_#_" in name or "_$_" in name or "_@_" in name


class Merging:
    """Inputs that are merged, as `merge_dynamic` does, over what has been before."""

    __slots__ = ("_lists_left", "_merged", "_own", "items_left")

    def __init__(self, before: Mapping[str, Any]) -> None:
        """Nothing in `before` is changed."""
        self._merged = dict(before)
        self._own: set[int] = set()
        """The ids of the containers made here."""
        self.items_left = graph_limits.PATH_ITEMS_MAX
        self._lists_left = value_limits.JSON_DEPTH_MAX

    def add(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """All of it with `data` after it. Raises PinError as `merge_dynamic` does."""
        for name, value in data.items():
            self._merged[name] = value
            if _leads_on(name):
                self._assign(name, value)
        return self._merged

    def _assign(self, name: str, value: Any) -> None:
        target = compile_target(name)
        holder: Any = self._merged
        place: Step = target.base
        for step in target.path:
            present = holder.get(place) if type(holder) is dict else holder[place]
            holder[place] = container = self._container(present, step, name)
            self._own.add(id(container))
            holder, place = container, step
        if target.path:
            holder[place] = value

    def _container(self, present: Any, step: Step, name: str) -> Any:
        """A container of our own that has room at `step`, with what `present` holds."""
        self._spend(1, name)
        if type(step) is not int:
            return self._object(present, name)
        container = self._list(present, name)
        lacking = step + 1 - len(container)
        if lacking > 0:
            self._spend(lacking, name)
            container.extend([None] * lacking)
        return container

    def _object(self, present: Any, name: str) -> dict[str, Any]:
        if type(present) is list:
            self._spend(len(present), name)
            return {str(index): item for index, item in enumerate(present)}
        if type(present) is not dict:
            return {}
        if id(present) in self._own:
            return present
        self._spend(len(present), name)
        return dict(present)

    def _list(self, present: Any, name: str) -> list[Any]:
        if type(present) is dict:
            self._spend(len(present), name)
            self._lists_left -= 1
            if self._lists_left < 0:
                raise PinError(
                    name, "the paths of this node's pins turn objects into lists too often"
                )
            return [[key, value] for key, value in present.items()]
        if type(present) is not list:
            return []
        if id(present) in self._own:
            return present
        self._spend(len(present), name)
        return list(present)

    def _spend(self, items: int, name: str) -> None:
        self.items_left -= items
        if self.items_left < 0:
            raise PinError(
                name,
                "the paths of this node's pins lead over, copy, convert and pad with more than "
                f"{graph_limits.PATH_ITEMS_MAX} items",
            )
