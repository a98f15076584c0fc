"""The registry of events: closed, versioned, and never in need of a code path."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import msgspec
import pytest

import domain
from domain import catalogue, events
from domain.events import Event, UnknownEventType, event, topic_of
from tests.support.filled import filled


def _v1_to_v2(fields: dict[str, Any]) -> dict[str, Any]:
    return {"names": [fields["name"]]}


def _v2_to_v3(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "count": len(fields["names"])}


@event("tests.ThingNamed", version=3, upcasts={1: _v1_to_v2, 2: _v2_to_v3})
class ThingNamed(Event, frozen=True):
    names: list[str]
    count: int


@event("tests.ThingSeen")
class ThingSeen(Event, frozen=True):
    size: int = 0
    note: str | None = None


def test_every_old_version_reads_as_the_present_one() -> None:
    present = ThingNamed(["a"], 1)
    assert topic_of(ThingNamed) == "tests.ThingNamed@3"
    assert events.decode("tests.ThingNamed@1", b'{"name":"a"}') == present
    assert events.decode("tests.ThingNamed@2", b'{"names":["a"]}') == present
    assert events.decode("tests.ThingNamed@3", msgspec.json.encode(present)) == present


@pytest.mark.parametrize("topic", sorted(catalogue.TOPICS & events.registered().keys()))
def test_every_type_with_every_field_set_can_be_read_through_an_upcast(topic: str) -> None:
    """The first new version of any type must not make what is written today unreadable."""
    present = events.registered()[topic].cls
    happened = filled(present)
    newer = events.EventType("tests.Newer", 2, present, {1: lambda fields: fields})
    read = events.upcasting_decoder(newer, 1)
    assert read(msgspec.json.encode(happened)) == happened


@pytest.mark.parametrize(
    "topic", ["tests.ThingNamed@0", "tests.ThingNamed@4", "tests.ThingNamed", "os.system@1", ""]
)
def test_unknown_topics_are_refused(topic: str) -> None:
    with pytest.raises(UnknownEventType):
        events.decode(topic, b"{}")
    assert topic not in events.topics()


def test_topics_are_those_of_all_versions() -> None:
    assert {f"tests.ThingNamed@{version}" for version in (1, 2, 3)} < events.topics()


def test_a_state_that_does_not_fit_is_refused() -> None:
    for state in (b"{}", b'{"names":"a","count":1}', b'{"names":[],"count":"1"}', b"[]", b""):
        with pytest.raises(msgspec.DecodeError):
            events.decode("tests.ThingNamed@3", state)


def test_defaults_are_not_written_and_unknown_fields_are_ignored() -> None:
    assert msgspec.json.encode(ThingSeen()) == b"{}"
    assert events.decode("tests.ThingSeen@1", b'{"size":1,"colour":"red"}') == ThingSeen(1)


def test_events_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        ThingSeen().size = 1  # type: ignore[misc]


def test_a_name_is_registered_once_and_with_all_its_upcasts() -> None:
    with pytest.raises(AssertionError, match="twice"):
        event("tests.ThingSeen")(ThingSeen)
    for upcasts in ({}, {2: _v2_to_v3}, {1: _v1_to_v2, 2: _v2_to_v3}):
        with pytest.raises(AssertionError, match="upcast"):
            event("tests.ThingLost", version=2, upcasts=upcasts)(ThingSeen)


def test_the_catalogue_names_every_module_that_defines_events() -> None:
    for module in pkgutil.walk_packages(domain.__path__, "domain."):
        importlib.import_module(module.name)
    defining = {kind.cls.__module__ for kind in events.registered().values()}
    ours = {name for name in defining if name.startswith("domain.")}
    assert ours == {module.__name__ for module in catalogue.MODULES}


def test_names_are_a_noun_and_what_happened() -> None:
    for kind in events.registered().values():
        noun, _, happened = kind.name.partition(".")
        assert happened == kind.cls.__name__
        assert noun in kind.cls.__module__.split(".")
