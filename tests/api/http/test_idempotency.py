"""A command under a key happens once, however often it is sent."""

from __future__ import annotations

import asyncio

import pytest

from runtime import ids
from tests.support.api import Caller, Platform, Saved, answered
from tests.support.graphs import echo


def new_key() -> str:
    return ids.new_id().hex


@pytest.fixture
async def graph(user: Caller) -> Saved:
    return await user.save(echo())


def execute(graph: Saved) -> str:
    return f"/api/v1/graphs/{graph.graph_id}/execute/1"


async def test_a_repeated_start_is_the_same_run(
    user: Caller, graph: Saved, installation: Platform
) -> None:
    key, body = new_key(), {"inputs": {"x": 1}}
    first = await user.post(execute(graph), body, Idempotency_Key=key)
    head = await installation.at_rest()
    again = await user.post(execute(graph), body, Idempotency_Key=key)
    assert answered(again) == answered(first)
    assert again.headers["evergraph-position"] == first.headers["evergraph-position"]
    assert await installation.at_rest() == head
    assert len(await user.read("/api/v1/executions")) == 1


async def test_repetitions_at_once_are_one_run(user: Caller, graph: Saved) -> None:
    key = new_key()
    starts = (user.post(execute(graph), {}, Idempotency_Key=key) for _ in range(16))
    runs = [answered(answer)["id"] for answer in await asyncio.gather(*starts)]
    assert len(set(runs)) == 1
    assert [run["id"] for run in await user.read("/api/v1/executions")] == runs[:1]


async def test_without_a_key_each_start_is_a_run(user: Caller, graph: Saved) -> None:
    starts = (user.post(execute(graph), {}) for _ in range(8))
    runs = {answered(answer)["id"] for answer in await asyncio.gather(*starts)}
    assert len(runs) == len(await user.read("/api/v1/executions")) == 8


async def test_a_repeated_creation_is_the_same_graph(user: Caller) -> None:
    key = new_key()
    first, again = [
        answered(await user.post("/api/v1/graphs", {"graph": echo()}, Idempotency_Key=key))
        for _ in range(2)
    ]
    assert again == first
    assert [meta["id"] for meta in await user.read("/api/v1/graphs")] == [first["id"]]


async def test_a_repeated_change_is_the_same_version(user: Caller, graph: Saved) -> None:
    key, path = new_key(), f"/api/v1/graphs/{graph.graph_id}"
    first, again = [answered(await user.put(path, echo(), Idempotency_Key=key)) for _ in range(2)]
    assert again == first
    assert [version["version"] for version in await user.read(f"{path}/versions")] == [2, 1]


async def test_a_repeated_registration_is_the_same_user(installation: Platform) -> None:
    caller, key = installation.caller(), new_key()
    first, again = [
        answered(await caller.post("/api/v1/auth/user", Idempotency_Key=key)) for _ in range(2)
    ]
    assert again == first


@pytest.mark.holds("S29")
async def test_a_key_belongs_to_one_request(
    user: Caller, graph: Saved, installation: Platform
) -> None:
    """Another body, another path, another query, another method."""
    key, path = new_key(), f"/api/v1/graphs/{graph.graph_id}"
    answered(await user.post(execute(graph), {"inputs": {"x": 1}}, Idempotency_Key=key))
    head = await installation.at_rest()
    others = (
        ("POST", execute(graph), {"inputs": {"x": 2}}),
        ("POST", f"{path}/execute", {"inputs": {"x": 1}}),
        ("POST", f"{execute(graph)}?preset_id=1", {"inputs": {"x": 1}}),
        ("PUT", path, echo()),
    )
    for method, other, body in others:
        refused = answered(await user.request(method, other, body, Idempotency_Key=key), 422)
        assert refused["type"] == "key_reused"
        assert refused["message"] == "This Idempotency-Key was used for another request."
    assert await installation.at_rest() == head


@pytest.mark.holds("S30")
async def test_users_have_keys_of_their_own(
    user: Caller, graph: Saved, installation: Platform
) -> None:
    """The same key and the same body of another user is another request."""
    other, key = await installation.user(), new_key()
    theirs = await other.save(echo())
    first = answered(await user.post(execute(graph), {}, Idempotency_Key=key))
    second = answered(await other.post(execute(theirs), {}, Idempotency_Key=key))
    assert first["id"] != second["id"]


async def test_a_refused_command_does_not_use_its_key(user: Caller) -> None:
    graph, key = await user.save(echo()), new_key()
    path = f"/api/v1/graphs/{graph.graph_id}/execute/2"
    answered(await user.post(path, {}, Idempotency_Key=key), 404)
    answered(await user.put(f"/api/v1/graphs/{graph.graph_id}", echo()))
    answered(await user.post(path, {}, Idempotency_Key=key))


@pytest.mark.holds("S32")
async def test_a_kept_answer_needs_a_good_token(
    user: Caller, graph: Saved, installation: Platform
) -> None:
    """Who may not ask is not told what was answered."""
    key = new_key()
    kept = answered(await user.post(execute(graph), {}, Idempotency_Key=key))
    expired = installation.caller(user.user_id, seconds=-60)
    refused = await expired.post(execute(graph), {}, Idempotency_Key=key)
    assert answered(refused, 401)["message"] == "Token has expired"
    assert kept["id"] not in refused.text
