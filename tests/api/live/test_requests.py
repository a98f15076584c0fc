"""What a client may ask, and how it is told that it may not."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.graphs.graph import VersionSaved
from domain.limits import socket_limits
from domain.runs import (
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    ReviewReason,
    ReviewRequested,
    RunPaused,
    RunStats,
    RunTerminated,
)
from runtime import ids
from runtime.eventlog.log import EventLog
from tests.support.live import LiveApi, Script

LONG = "x" * 1_000

REFUSALS: tuple[tuple[str | bytes, str], ...] = (
    ("", "Invalid message format"),
    ("{", "Invalid message format"),
    ("[]", "Invalid message format"),
    ("null", "Invalid message format"),
    (b"\xff\xfe", "Invalid message format"),
    ('{"type": "\\ud800"}', "Invalid message format"),
    ("[" * 30_000, "Invalid message format"),
    ('{"type": "ping", "type": "ping"}', "Invalid message format"),
    (b'{"type": "ping", "more": [{"a": 1, "\\u0061": 2}]}', "Invalid message format"),
    ("{}", "Missing message type"),
    ('{"type": null}', "Missing message type"),
    ('{"type": "dance"}', "Unknown message type: dance"),
    ('{"type": 7}', "Unknown message type: 7"),
    ('{"type": ["ping"]}', "Unknown message type: ['ping']"),
    (f'{{"type": "{LONG}"}}', f"Unknown message type: {LONG[:100]}"),
    ('{"type": "subscribe_execution"}', "Missing execution_id"),
    ('{"type": "subscribe_execution", "execution_id": ""}', "Missing execution_id"),
    ('{"type": "subscribe_execution", "execution_id": "none"}', "Execution not found"),
    ('{"type": "subscribe_execution", "execution_id": 5}', "Execution not found"),
    ('{"type": "subscribe_execution", "execution_id": "\\u0000"}', "Execution not found"),
    (f'{{"type": "subscribe_execution", "execution_id": "{LONG}"}}', "Execution not found"),
    ('{"type": "unsubscribe_execution"}', "Missing execution_id"),
    ('{"type": "execution_status"}', "Missing execution_id"),
    ('{"type": "execution_status", "execution_id": "none"}', "Execution not found"),
    ('{"type": "graph_update"}', "Missing graph_id"),
    ('{"type": "graph_update", "graph_id": "none"}', "Graph not found"),
)


async def test_what_cannot_be_answered_is_refused_and_the_socket_stays(
    api: LiveApi, user_id: UUID
) -> None:
    async with api.peer(user_id) as peer:
        for sent, message in REFUSALS:
            await peer.socket.send(sent)
            answer = await peer.next()
            assert (answer["type"], answer["message"]) == ("error", message), sent
            assert answer["timestamp"].endswith("Z")
        assert (await peer.ask("ping"))["type"] == "pong"


async def test_ping_is_answered_with_the_time(api: LiveApi, user_id: UUID) -> None:
    async with api.peer(user_id) as peer:
        assert set(await peer.ask("ping")) == {"type", "timestamp"}


async def test_json_may_come_in_a_binary_frame(api: LiveApi, user_id: UUID) -> None:
    async with api.peer(user_id) as peer:
        await peer.socket.send(b'{"type": "ping"}')
        assert (await peer.next())["type"] == "pong"


async def test_a_graph_is_shown_as_its_active_version(
    api: LiveApi, user_id: UUID, graph: VersionSaved
) -> None:
    async with api.peer(user_id) as peer:
        answer = await peer.ask("graph_update", graph_id=graph.graph.id)
    del answer["timestamp"]
    assert answer == {
        "type": "graph_update_response",
        "graph_id": graph.graph.id,
        "version": 1,
        "name": "Echo",
    }


async def test_a_status_says_where_the_run_stands(
    api: LiveApi, user_id: UUID, script: Script
) -> None:
    await script.go_on(2)
    await script.append(NodeStarted(execution=0, node=script.first))
    async with api.peer(user_id) as peer:
        answer = await peer.ask("execution_status", execution_id=script.run_id)
    del answer["timestamp"]
    others = ("completed", "failed", "terminated", "review", "queued", "waiting")
    counts = dict.fromkeys(others, 0)
    assert answer == {
        "type": "execution_status_response",
        "execution_id": script.run_id,
        "status": "RUNNING",
        "paused": False,
        "progress": {**counts, "running": 1, "total": 1},
        "current_node": script.first,
        "output": {},
        "omitted_outputs": [],
        "large_values": {},
        "error": None,
        "version": 3,
    }


async def test_a_status_counts_what_has_become_of_each_execution(
    api: LiveApi, user_id: UUID, script: Script
) -> None:
    spread = NodeCompleted(0, script.first, [("result", 1)] * 6, elapsed_us=5)
    done = NodeCompleted(1, script.second, [], elapsed_us=5)
    failed = NodeFailed(2, script.second, "no", elapsed_us=5)
    asked = ReviewRequested(3, script.second, "Letter", 1, ReviewReason.ASKED)
    await script.go_on(2)
    await script.append(spread, done, failed, asked, NodeStarted(4, script.second), RunPaused())
    counts = {"completed": 2, "failed": 1, "review": 1, "running": 1, "queued": 2, "waiting": 0}
    async with api.peer(user_id) as peer:
        answer = await peer.ask("execution_status", execution_id=script.run_id)
        assert answer["progress"] == counts | {"terminated": 0, "total": 7}
        assert (answer["paused"], answer["current_node"]) == (True, script.second)
        await script.append(RunTerminated(RunStats()))
        await peer.say("execution_status", execution_id=script.run_id)
        answer = (await peer.until("execution_status_response"))[-1]
        cut_off = {"review": 0, "running": 0, "queued": 0, "terminated": 4}
        assert answer["progress"] == counts | cut_off | {"total": 7}
        assert answer["status"] == "TERMINATED"


async def test_the_status_of_a_finished_run_has_its_output(
    api: LiveApi, user_id: UUID, script: Script
) -> None:
    await script.go_on()
    async with api.peer(user_id) as peer:
        answer = await peer.ask("execution_status", execution_id=script.run_id)
    assert answer["status"] == "COMPLETED"
    assert answer["progress"]["completed"] == answer["progress"]["total"] == 2
    assert answer["current_node"] is None
    assert answer["output"] == {"answer": ["Lyon"]}


@pytest.mark.holds("S11")
async def test_the_things_of_others_are_not_there(
    api: LiveApi, script: Script, graph: VersionSaved
) -> None:
    await script.go_on()
    async with api.peer(ids.new_id()) as stranger:
        for kind in ("subscribe_execution", "execution_status"):
            answer = await stranger.ask(kind, execution_id=script.run_id)
            assert answer["message"] == "Execution not found"
        answer = await stranger.ask("graph_update", graph_id=graph.graph.id)
        assert answer["message"] == "Graph not found"


@pytest.mark.parametrize("after_version", ["1", -1, 1.5, True, None, 10**30])
async def test_a_place_to_resume_from_must_be_a_version(
    api: LiveApi, user_id: UUID, script: Script, after_version: object
) -> None:
    await script.go_on(1)
    async with api.peer(user_id) as peer:
        answer = await peer.ask(
            "subscribe_execution", execution_id=script.run_id, after_version=after_version
        )
    assert answer["message"].startswith("Invalid after_version")


async def test_nobody_resumes_from_a_version_that_is_not_there_yet(
    api: LiveApi, user_id: UUID, script: Script
) -> None:
    await script.go_on(2)
    async with api.peer(user_id) as peer:
        answer = await peer.ask("subscribe_execution", execution_id=script.run_id, after_version=3)
    assert answer["message"].startswith("Invalid after_version")


async def test_subscriptions_are_bounded(
    api: LiveApi,
    user_id: UUID,
    event_log: EventLog,
    graph: VersionSaved,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket_limits, "SUBSCRIPTIONS_PER_SOCKET_MAX", 2)
    scripts = [Script(event_log, graph) for _ in range(3)]
    for script in scripts:
        await script.go_on(1)
    first, second, third = (script.run_id for script in scripts)
    async with api.peer(user_id) as peer:
        for run_id in (first, second, second):
            answer = await peer.ask("subscribe_execution", execution_id=run_id)
            assert answer["type"] == "subscription_confirmed"
        answer = await peer.ask("subscribe_execution", execution_id=third)
        assert answer["message"] == "Too many subscriptions: at most 2 at once"
        answer = await peer.ask("unsubscribe_execution", execution_id=first)
        assert answer["type"] == "unsubscription_confirmed"
        answer = await peer.ask("subscribe_execution", execution_id=third)
        assert answer["type"] == "subscription_confirmed"


async def test_a_lost_database_is_told_and_the_socket_stays(
    api: LiveApi, user_id: UUID, script: Script
) -> None:
    await script.go_on(1)
    async with api.peer(user_id) as peer:
        await peer.ask("ping")
        await api.services.log.pool.close()
        answer = await peer.ask("subscribe_execution", execution_id=script.run_id)
        assert answer["message"] == "Failed to subscribe to execution"
        answer = await peer.ask("execution_status", execution_id=script.run_id)
        assert answer["message"] == "Failed to get execution status"
        answer = await peer.ask("graph_update", graph_id=script.graph_id)
        assert answer["message"] == "Internal server error"
        assert (await peer.ask("ping"))["type"] == "pong"
