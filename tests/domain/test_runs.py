from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import events, runs
from domain.events import Event
from domain.runs import (
    CreditsExtended,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeStarted,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunStats,
    execution_id,
)
from tests.domain.values import json_values

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATS = RunStats(steps=3, errors=1, cost=2, nodes_us=5)


def test_the_id_of_an_execution_never_changes() -> None:
    """Servers outside have seen it as the key of an effect."""
    assert execution_id("run", 0) == "78f109f7-8914-5f33-93cc-1503cf39f02f"


@given(st.uuids(), st.integers(0, 10**6))
def test_an_execution_has_a_name_based_uuid(run_id: UUID, number: int) -> None:
    given_id = UUID(execution_id(str(run_id), number))
    assert (given_id.version, given_id.variant) == (5, "specified in RFC 4122")
    assert str(given_id) != execution_id(str(run_id), number + 1)


@pytest.mark.parametrize(
    "event",
    [
        RunCreated("ada", "g", 1, {"x": [None]}, steps_max=5, held=1),
        RunClaimed("worker"),
        NodeStarted(0, "n", attempt=2),
        NodeDeferred(0, "n", NOON),
        NodeCompleted(0, "n", [("out", {"a": 1}), ("out", None)], elapsed_us=5, cost=1),
        NodeFailed(0, "n", "broken", elapsed_us=5, outputs=[("out", 1)]),
        CreditsExtended(3),
        RunCompleted(STATS),
        RunFailed("broken", STATS),
    ],
    ids=lambda event: type(event).__name__,
)
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    assert events.decode(events.topic_of(type(event)), msgspec.json.encode(event)) == event


@given(st.lists(st.tuples(st.sampled_from(["out", "error"]), json_values), max_size=3))
def test_outputs_are_any_json_values(outputs: list[tuple[str, object]]) -> None:
    event = NodeCompleted(0, "n", outputs, elapsed_us=1)
    read = events.decode("runs.NodeCompleted@1", msgspec.json.encode(event))
    assert read == event


def test_a_run_is_found_by_the_name_of_its_stream() -> None:
    assert runs.run_of(runs.stream_of("1-2")) == "1-2"


def test_three_statuses_are_ends() -> None:
    assert {"COMPLETED", "TERMINATED", "FAILED"} == runs.TERMINAL
