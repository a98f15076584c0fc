"""The closed registry of event types: what the log may hold, under stable names.

A type is `<noun>.<PastTense>` with a schema version; its topic in the log is `name@version`. A row
of the log can therefore name nothing to import. When a type changes, its version is raised and
an upcast from each older version stays beside it for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

Upcast = Callable[[dict[str, Any]], dict[str, Any]]


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of every event: something that happened, in the past tense, complete in itself."""


class UnknownEventType(Exception):
    """The log holds a type that this code does not know: it is newer, or it is damaged."""


def unexpected(happened: Event, stream: str) -> UnknownEventType:
    """What a fold raises that has to know every type of its stream."""
    return UnknownEventType(f"{type(happened).__name__} is not an event of {stream}")


class EventType(msgspec.Struct, frozen=True):
    """How one type is written and read."""

    name: str
    version: int
    cls: type[Event]
    upcasts: Mapping[int, Upcast]

    @property
    def topic(self) -> str:
        return f"{self.name}@{self.version}"


E = TypeVar("E", bound=Event)

_by_topic: dict[str, EventType] = {}
_by_class: dict[type[Event], EventType] = {}
_decoders: dict[str, Callable[[bytes], Event]] = {}


def event(
    name: str, version: int = 1, upcasts: Mapping[int, Upcast] | None = None
) -> Callable[[type[E]], type[E]]:
    """Register a class as the present version of the type `name`.

    `upcasts[n]` turns the fields of version n into those of n + 1.
    """

    def register(cls: type[E]) -> type[E]:
        chain = dict(upcasts or {})
        assert sorted(chain) == list(range(1, version)), f"{name}: an upcast is missing"
        event_type = EventType(name=name, version=version, cls=cls, upcasts=chain)
        assert event_type.topic not in _by_topic, f"{name} is registered twice"
        _by_topic[event_type.topic] = event_type
        _by_class[cls] = event_type
        _decoders[event_type.topic] = msgspec.json.Decoder(cls).decode
        for old in chain:
            _decoders[f"{name}@{old}"] = upcasting_decoder(event_type, old)
        return cls

    return register


def topic_of(event_class: type[Event]) -> str:
    """The topic under which events of this class are written."""
    return _by_class[event_class].topic


def decode(topic: str, state: bytes) -> Event:
    """Read one event of any version ever written.

    Raises UnknownEventType for a topic outside the registry.
    """
    decoder = _decoders.get(topic)
    if decoder is None:
        raise UnknownEventType(f"unknown event type {topic!r}")
    return decoder(state)


def topics() -> frozenset[str]:
    """Every topic that can be read: of the present versions and of older ones."""
    return frozenset(_decoders)


def registered() -> Mapping[str, EventType]:
    """Every present event type by topic."""
    return _by_topic


def upcasting_decoder(event_type: EventType, from_version: int) -> Callable[[bytes], Event]:
    """Reads states of an older version as events of the present one."""

    def read(state: bytes) -> Event:
        fields = msgspec.json.decode(state)
        for version in range(from_version, event_type.version):
            fields = event_type.upcasts[version](fields)
        # JSON has no other keys than strings; a map by number would not be read otherwise.
        return msgspec.convert(fields, event_type.cls, str_keys=True)

    return read
