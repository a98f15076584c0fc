"""What is told of each event: the run's own life, and what becomes of its nodes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from api.live import messages
from domain import catalogue, events, runs
from domain.budgets import Allotment
from domain.events import Event
from domain.large_values import take_out
from domain.limits import value_limits
from domain.runs import (
    ChildStarted,
    CreditsExtended,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    ReviewDecided,
    ReviewReason,
    ReviewRequested,
    RunClaimed,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStats,
    RunStopRequested,
    RunSuspended,
    RunTerminated,
    execution_id,
)
from projections.projection import Recorded
from runtime import clock, ids
from tests.support.live import LiveApi, Script, run_to_end, subscribe

STATS = RunStats()


def brief(told: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(message["type"].removeprefix("execution_"), message["version"]) for message in told]


async def told_of(api: LiveApi, user_id: UUID, script: Script) -> list[dict[str, Any]]:
    """What a socket is told that subscribes when all is over."""
    async with api.peer(user_id) as peer:
        await subscribe(peer, script.run_id)
        return await run_to_end(peer, script)


async def test_every_kind_of_progress_is_told(api: LiveApi, user_id: UUID, script: Script) -> None:
    until, node, child = clock.now(), script.first, str(ids.new_id())
    answer = ReviewDecided(0, node, approved=False, data=2, message="no", edited=True)
    await script.go_on(2)
    await script.append(
        NodeStarted(0, node),
        NodeStarted(0, node, attempt=2, repeats=True),
        NodeDeferred(0, node, until),
        NodeRetried(0, node, attempt=2, error="busy", elapsed_us=1, until=until),
        ReviewRequested(0, node, "Letter", {"to": "Ada"}, ReviewReason.IN_DOUBT, editable=True),
        answer,
        ChildStarted(0, node, child),
        CreditsExtended(1),
        NodeFailed(0, node, "no", 1, outputs=[("result", 1), ("result", None), ("result", 2)]),
        RunFailed("the run failed", STATS),
    )
    told = await told_of(api, user_id, script)
    assert [message["version"] for message in told] == [2, 3, 4, 5, 6, 7, 8, 9, 11, 12]
    plain: dict[str, Any] = {
        "node_id": node,
        "node_exec_id": execution_id(script.run_id, 0),
        "output_data": {},
        "large_values": {},
        "error": None,
        "attempt": None,
        "repeated": False,
        "until": None,
        "review": None,
        "child_execution_id": None,
    }
    stamp = until.isoformat().replace("+00:00", "Z")
    asked = {"name": "Letter", "reason": "in_doubt", "editable": True}
    silent: dict[str, Any] = {"message": None, "was_edited": None}
    unknown: dict[str, Any] = {"name": None, "reason": None, "editable": None}
    said = {"status": "REJECTED", "message": "no", "was_edited": True}
    assert [message["progress"] for message in told[1:-1]] == [
        {**plain, "status": "RUNNING", "attempt": 1},
        {**plain, "status": "RUNNING", "attempt": 2, "repeated": True},
        {**plain, "status": "RUNNING", "until": stamp},
        {**plain, "status": "RUNNING", "attempt": 2, "error": "busy", "until": stamp},
        {**plain, "status": "REVIEW", "review": {**asked, **silent, "status": "WAITING"}},
        {**plain, "status": "QUEUED", "review": {**unknown, **said}},
        {**plain, "status": "RUNNING", "child_execution_id": child},
        {
            **plain,
            "status": "FAILED",
            "error": "no",
            "output_data": {"result": [1, 2], "error": ["no"]},
        },
    ]
    assert (told[-1]["status"], told[-1]["error"]) == ("FAILED", "the run failed")


async def test_large_values_are_told_by_reference(
    api: LiveApi, user_id: UUID, script: Script
) -> None:
    value = b'"large"'
    (key,) = await api.services.log.values.put(script.owner, [value])
    outputs = [("result", None), ("result", None), ("result", 2), ("result", None)]
    await script.go_on(2)
    async with api.peer(user_id) as peer:
        await peer.ask("subscribe_execution", execution_id=script.run_id, after_version=2)
        await script.append(
            NodeCompleted(0, script.first, outputs, 1, large={1: key, 3: key}),
            NodeFailed(1, script.second, "no", 1, outputs=outputs, large={1: key, 3: key}),
            RunTerminated(STATS),
        )
        [completed, failed, _] = [await peer.next() for _ in range(3)]
    reference = {"large_value": key}
    yielded = [reference, 2, reference]
    assert completed["progress"]["output_data"] == {"result": yielded}
    assert failed["progress"]["output_data"] == {"result": yielded, "error": ["no"]}
    for told in (completed, failed):
        assert told["progress"]["large_values"] == {key: len(value)}


async def test_the_end_is_told_with_large_values_whole(
    api: LiveApi, user_id: UUID, script: Script
) -> None:
    large = "x" * value_limits.VALUE_INLINE_BYTES_MAX
    hashes, values = take_out([(0, large)])
    await api.services.log.values.put(script.owner, list(values.values()))
    await script.go_on(2)
    await script.append(
        NodeCompleted(0, script.first, [("result", None)], 1, large=hashes),
        NodeCompleted(1, script.second, [("output", None)], 1, large=hashes),
        runs.RunCompleted(RunStats(steps=2)),
    )
    told = await told_of(api, user_id, script)
    assert told[-1]["result"] == {"answer": [large]}


async def test_the_life_of_a_run_is_told(api: LiveApi, user_id: UUID, script: Script) -> None:
    node = script.first
    await script.go_on(1)
    await script.append(
        RunPaused(),
        RunResumed(),
        RunClaimed("test/1"),
        ReviewRequested(0, node, "Letter", 1, ReviewReason.ASKED),
        RunSuspended(STATS),
        ReviewDecided(0, node, approved=True),
        RunClaimed("test/2"),
        RunSuspended(STATS, until=clock.now()),
        RunClaimed("test/3"),
        RunClaimed("test/4"),
        RunStopRequested(),
        RunTerminated(STATS),
    )
    expected = [
        ("paused", 2),
        ("resumed", 3),
        ("started", 4),
        ("progress", 5),
        ("review", 6),
        ("progress", 7),
        ("continued", 8),
        ("continued", 10),
        ("continued", 11),
        ("terminated", 13),
    ]
    for _ in range(2):
        told = await told_of(api, user_id, script)
        assert brief(told) == expected
    statuses = {message["type"]: message.get("status") for message in told}
    assert statuses["execution_started"] == statuses["execution_continued"] == "RUNNING"
    assert statuses["execution_review"] == "REVIEW"
    assert statuses["execution_terminated"] == "TERMINATED"
    assert told[2]["graph_id"] == script.graph_id
    async with api.peer(user_id) as peer:
        for after in (9, 5, 3):
            await subscribe(peer, script.run_id, after_version=after)
            later = [one for one in expected if one[1] > after]
            assert brief(await run_to_end(peer, script)) == later


async def test_the_life_of_a_run_is_told_while_it_goes_on(
    api: LiveApi, user_id: UUID, script: Script
) -> None:
    async with api.peer(user_id) as peer:
        await peer.ask("ping")
        await script.go_on(2)
        assert brief([await peer.next()]) == [("started", 2)]
        for number in range(3):
            await script.append(
                ReviewRequested(0, script.first, "Letter", number, ReviewReason.ASKED),
                RunSuspended(STATS),
                ReviewDecided(0, script.first, approved=True),
                RunClaimed("test/2"),
                RunSuspended(STATS),
                RunClaimed("test/2"),
            )
            first = 3 + 6 * number
            assert brief([await peer.next() for _ in range(5)]) == [
                ("progress", first),
                ("review", first + 1),
                ("progress", first + 2),
                ("continued", first + 3),
                ("continued", first + 5),
            ]
        await script.append(RunTerminated(STATS))
        assert brief([await peer.next()]) == [("terminated", 21)]


@pytest.mark.parametrize(
    "event_type",
    [kind.cls for kind in events.registered().values() if kind.name.startswith("runs.")],
    ids=lambda cls: cls.__name__,
)
def test_no_event_of_a_run_breaks_the_feed(event_type: type[Event]) -> None:
    """What means nothing to clients says nothing."""
    assert events.topic_of(event_type) in catalogue.TOPICS
    happened = sample(event_type)
    recorded = Recorded(7, runs.stream_of("r"), 3, "ada", 0, happened)
    message = messages.of_event(recorded)
    assert message is None or messages.encode(message)


def sample(event_type: type[Event]) -> Event:
    """An event of this type with nothing but what it must have."""
    required = {
        "user_id": "ada",
        "graph_id": "g",
        "graph_version": 1,
        "inputs": {},
        "steps_max": 1,
        "worker": "one",
        "stats": STATS,
        "execution": 0,
        "node": "n",
        "until": clock.now(),
        "attempt": 1,
        "error": "no",
        "elapsed_us": 1,
        "name": "Letter",
        "data": 1,
        "reason": ReviewReason.ASKED,
        "approved": True,
        "child": "c",
        "outputs": [],
        "amount": 1,
        "allotment": Allotment(steps=1),
    }
    fields = [field for field in msgspec.structs.fields(event_type) if field.required]
    return event_type(**{field.name: required[field.name] for field in fields})
