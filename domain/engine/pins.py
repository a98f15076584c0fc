"""Pin names that reach into values: `out_#_key`, `out_$_0`, `out_@_attribute`, tool pins.

On a link's source such a name selects a part of what the block emitted; on its sink it builds a
part of the pin's value. An attribute of a JSON value is a key of its object.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec

from domain import limits

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


@lru_cache(maxsize=4096)
def compile_target(sink_name: str) -> Target:
    """The place that `sink_name` assigns to. A name with an empty part is a plain pin of its own.

    Raises PinError when a list index is not a whole number from 0 to LIST_PAD_MAX, or when a name
    with a path is longer than NAME_CHARS_MAX.
    """
    base, *parts = _DELIMITER.split(sink_name)
    if not parts or not base or not all(parts):
        return Target(sink_name)
    if len(sink_name) > limits.NAME_CHARS_MAX:
        raise PinError(sink_name, f"must have at most {limits.NAME_CHARS_MAX} characters")
    path = _steps(parts)
    for step, token in zip(path, parts[1::2], strict=True):
        if step is None or (type(step) is int and not 0 <= step <= limits.LIST_PAD_MAX):
            raise PinError(
                sink_name,
                f"{token!r} is not a list index: it must be a whole number "
                f"from 0 to {limits.LIST_PAD_MAX}",
            )
    return Target(base, tuple(step for step in path if step is not None))


def merge_dynamic(data: dict[str, Any]) -> dict[str, Any]:
    """`data` with every pin that has a path also merged into its base pin, in the order of `data`.

    Returns `data` itself when no name has a path. Its containers are never changed: those on a
    path are copied. A container of the other kind is converted as coercion would, a scalar gives
    way. Raises PinError as `compile_target` does.
    """
    for name in data:
        if "_#_" in name or "_$_" in name or "_@_" in name:
            return _merge(data)
    return data


def has_path(name: str) -> bool:
    """Whether `merge_dynamic` would look at a pin of this name."""
    return _DELIMITER.search(name) is not None


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


def _merge(data: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    own: set[int] = set()
    for name, value in data.items():
        merged[name] = value
        if "_#_" in name or "_$_" in name or "_@_" in name:
            _assign(merged, compile_target(name), value, own)
    return merged


def _assign(merged: dict[str, Any], target: Target, value: Any, own: set[int]) -> None:
    """Set `value` at `target`; `own` holds the ids of the containers made for `merged`."""
    holder: Any = merged
    place: Step = target.base
    for step in target.path:
        present = holder.get(place) if type(holder) is dict else holder[place]
        holder[place] = container = _container(present, step, own)
        holder, place = container, step
    if target.path:
        holder[place] = value


def _container(present: Any, step: Step, own: set[int]) -> Any:
    """A container of our own that has room at `step`, with what `present` holds."""
    container: Any
    if type(step) is int:
        container = _list(present, own)
        container.extend([None] * (step + 1 - len(container)))
    elif type(present) is list:
        container = {str(index): item for index, item in enumerate(present)}
    elif type(present) is not dict:
        container = {}
    else:
        container = present if id(present) in own else dict(present)
    own.add(id(container))
    return container


def _list(present: Any, own: set[int]) -> list[Any]:
    if type(present) is dict:
        return [[key, value] for key, value in present.items()]
    if type(present) is not list:
        return []
    return present if id(present) in own else list(present)
