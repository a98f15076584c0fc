"""What was written once is read for ever.

`events.jsonl` holds events as some version of this program wrote them. Lines are only ever added:
when a type changes, its new version gets lines of its own and the old ones stay.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from domain import catalogue, events
from domain.events import topic_of
from runtime.eventlog.mapper import encode

HISTORY = Path(__file__).with_name("events.jsonl")


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """An event as the log holds it. `state` keeps its bytes."""

    topic: str
    state: msgspec.Raw


LINES = [msgspec.json.decode(line, type=Line) for line in HISTORY.read_bytes().splitlines()]
NAMES = [f"{line.topic} in line {number}" for number, line in enumerate(LINES, 1)]


@pytest.mark.parametrize("line", LINES, ids=NAMES)
def test_it_reads_and_is_written_again_the_same(line: Line) -> None:
    state = bytes(line.state)
    event = events.decode(line.topic, state)
    present = topic_of(type(event))
    written_again = encode(event)
    if line.topic == present:
        assert written_again == state
    assert events.decode(present, written_again) == event


def test_every_type_and_version_has_an_example() -> None:
    """A new event type, or a new version of one, begins with a line in `events.jsonl`."""
    assert {line.topic for line in LINES} >= {
        topic for topic in catalogue.TOPICS if not topic.startswith("tests.")
    }


def test_examples_differ() -> None:
    assert len({(line.topic, bytes(line.state)) for line in LINES}) == len(LINES)
