"""Whatever is sent as a body: no answer is a server's error, and a refusal leaves nothing."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from api.app import create_app
from blocks.logic import CountItems
from domain.limits import request_limits, value_limits
from domain.runs import ReviewReason, ReviewRequested
from runtime.embedded.postgres import PostgresServer
from tests.domain.values import json_values
from tests.support.api import Caller, Platform, Saved, answered, platform
from tests.support.graphs import Document, agent_input, agent_output, graph, node
from tests.support.live import running
from tests.support.processes import until
from tests.support.routes import Endpoint, endpoints
from tests.support.written import CLAIM, WrittenRun, begun
from workers import projector

Place = tuple[str | int, ...]

DEEP = 100_000
GRAPH = graph(
    agent_input("x", value=1),
    node("count", CountItems),
    agent_output("y"),
    links="""
        x.result > count.collection
        count.count > y.value
    """,
    instructions="Do",
    forked_from_version=1,
)
BODIES: dict[str, Document] = {
    "POST /api/graphs": {"graph": GRAPH, "source": "upload"},
    "PUT /api/graphs/{graph_id}": GRAPH,
    "POST /api/graphs/{graph_id}/execute": {"inputs": {"x": {"a": [1]}}},
    "POST /api/graphs/{graph_id}/execute/{graph_version}": {
        "inputs": {"x": {"a": [1]}},
        "credentials_inputs": {},
        "source": "builder",
        "dry_run": False,
        "budget": {"steps": 9, "seconds": 1.5, "credits": 3},
    },
    "PATCH /api/graphs/{graph_id}/settings": {
        "human_in_the_loop_safe_mode": False,
        "sensitive_action_safe_mode": True,
    },
    "POST /api/graphs/{graph_id}/executions/{run_id}/fork": {"version": 1, "inputs": {"x": [1]}},
}
"""What each route that takes a body accepts; the one that answers questions is not here."""
ACTION = "POST /api/review/action"
LARGE_BODIES = {
    "POST /api/graphs": request_limits.GRAPH_BYTES_MAX,
    "PUT /api/graphs/{graph_id}": request_limits.GRAPH_BYTES_MAX,
    ACTION: request_limits.REVIEW_REQUEST_BYTES_MAX,
}
"""Routes with a bound of their own, in bytes."""


class Quiet:
    """An installation without executors, where nothing is written that nobody asked for."""

    def __init__(self, served: Platform, user: Caller, graph: Saved, asking: WrittenRun) -> None:
        self.user = user
        self._served = served
        self._asking = asking
        self._values = {"graph_id": graph.graph_id, "graph_version": 1, "run_id": asking.run_id}
        answer = {
            "node_exec_id": asking.execution_id(0),
            "approved": True,
            "message": "so",
            "reviewed_data": {"a": [1]},
            "auto_approve_future": False,
        }
        self.bodies = BODIES | {ACTION: {"reviews": [answer]}}
        found = endpoints(create_app(served.settings))
        self.endpoints = [e for e in found if e.takes_a_body and e.path.startswith("/api/v1/")]

    async def send(self, endpoint: Endpoint, body: Any, **headers: str) -> int:
        """The status of an honest answer; one that refuses has left the log as it was."""
        if endpoint.operation == ACTION:
            await self._ask_again()
        head = await self._served.head()
        url = endpoint.url(self._values)
        response = await self.user.request(endpoint.method, url, body, **headers)
        assert response.status_code < 500, (endpoint.operation, body)
        if response.status_code != 200:
            assert response.headers["content-type"] == "application/problem+json"
            assert answered(response, response.status_code)["message"]
            assert await self._served.head() == head, (endpoint.operation, body)
        return response.status_code

    async def refuses(self, endpoint: Endpoint, body: Any, status: int = 400) -> None:
        assert await self.send(endpoint, body) == status, (endpoint.operation, body)

    async def reason(self, endpoint: Endpoint, body: bytes) -> str:
        """Why a body is refused."""
        response = await self.user.request(endpoint.method, endpoint.url(self._values), body)
        return str(answered(response, 400)["message"])

    async def _ask_again(self) -> None:
        """Unless the last question has still no answer."""
        stream = self._asking.stream
        last, _ = await self._served.log.read_last([stream])
        if not isinstance(last[stream].event, ReviewRequested):
            node = self._asking.node("x")
            question = ReviewRequested(0, node, "Letter", 1, ReviewReason.ASKED, editable=True)
            await self._asking.append(question)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quiet(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Quiet]:
    folder = tmp_path_factory.mktemp("quiet")
    async with (
        platform(postgres, folder, workers=False, signup_credits=10**9) as served,
        running(projector.serve(served.settings)),
    ):
        user = await served.user()
        graph = await user.save(GRAPH)
        asking = await begun(served.log, user, graph)
        await asking.append(CLAIM)
        yield Quiet(served, user, graph, asking)


async def test_what_is_accepted_is_accepted(quiet: Quiet) -> None:
    """Otherwise the refusals below would say nothing."""
    for endpoint in quiet.endpoints:
        assert await quiet.send(endpoint, quiet.bodies[endpoint.operation]) == 200


MALFORMED = {
    "cut off": b'{"graph":',
    "not JSON": b"graph=1",
    "binary": b"\x80\x81\x82",
    "not UTF-8": b'{"name":"\xff"}',
    "another coding": '{"name":"x"}'.encode("utf-16"),
    "raw NUL": b'{"name":"\x00"}',
    "only blanks": b"  ",
    "NaN": b'{"name":NaN}',
    "infinite": b'{"name":1e999}',
    "endless number": b'{"name":' + b"9" * 5_000 + b"}",
    "half a surrogate pair": b'{"name":"\\ud800"}',
    "deep list": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"":' * (DEEP // 2) + b"1" + b"}" * (DEEP // 2),
    "deep unknown member": b'{"unknown":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"5",
    "true": b"true",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=list(MALFORMED))
@pytest.mark.holds("S18")
async def test_what_is_no_object_is_refused(quiet: Quiet, body: bytes) -> None:
    for endpoint in quiet.endpoints:
        await quiet.refuses(endpoint, body)


WRONG: list[Any] = [None, True, 0, -1, 2**31, 2**63, 2**70, 1.5, "", "text", "\x00", [], [[]], {}]
WRONG += [{"a": 1}, {"\x00": 1}, "x" * (value_limits.TEXT_CHARS_MAX + 1)]


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every place inside a document."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in members:
        yield (*place, key)
        if isinstance(member, dict | list):
            yield from places(member, (*place, key))


def changed(document: Document, place: Place, value: Any) -> Document:
    """A copy with another value at one place."""
    copied = copy.deepcopy(document)
    holder: Any = copied
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    return copied


@pytest.mark.holds("S18")
async def test_anything_anywhere_is_no_server_error(quiet: Quiet) -> None:
    refused = 0
    for endpoint in quiet.endpoints:
        body = quiet.bodies[endpoint.operation]
        for place in places(body):
            for value in WRONG:
                refused += await quiet.send(endpoint, changed(body, place, value)) == 400
    assert refused > 500


@given(st.data())
@settings(max_examples=60)
async def test_random_values_are_no_server_error(quiet: Quiet, data: st.DataObject) -> None:
    endpoint = data.draw(st.sampled_from(quiet.endpoints))
    body = quiet.bodies[endpoint.operation]
    place = data.draw(st.sampled_from([(), *places(body)]))
    value = data.draw(json_values)
    await quiet.send(endpoint, changed(body, place, value) if place else value)


@given(st.data(), st.binary(max_size=40))
@settings(max_examples=40)
async def test_random_bytes_are_no_server_error(
    quiet: Quiet, data: st.DataObject, body: bytes
) -> None:
    endpoint = data.draw(st.sampled_from(quiet.endpoints))
    await quiet.send(endpoint, body)


def nested(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [*range(100, 1_100, 100), 5_000, 20_000])
@pytest.mark.holds("S18")
async def test_no_depth_is_a_server_error(quiet: Quiet, levels: int) -> None:
    deep = b'{"inputs":' + b'{"a":[' * levels + b"]}" * levels + b',"x":"\n\t"}'
    for endpoint in quiet.endpoints:
        await quiet.refuses(endpoint, deep)


@pytest.mark.parametrize("levels", [value_limits.JSON_DEPTH_MAX, value_limits.JSON_DEPTH_MAX + 1])
async def test_values_are_nested_as_deep_as_their_bound(quiet: Quiet, levels: int) -> None:
    """The object that holds the values counts as their first level."""
    expected = 200 if levels == value_limits.JSON_DEPTH_MAX else 400
    for endpoint in quiet.endpoints:
        body = quiet.bodies[endpoint.operation]
        holders = [place for place in places(body) if place[-1] in {"input_default", "inputs"}]
        for place in holders:
            deep = changed(body, (*place, "x"), nested(levels - 1))
            assert await quiet.send(endpoint, deep) == expected, endpoint.operation


@pytest.mark.holds("S17")
async def test_a_body_has_the_size_of_its_bound_at_the_most(quiet: Quiet) -> None:
    for endpoint in quiet.endpoints:
        most = LARGE_BODIES.get(endpoint.operation, request_limits.REQUEST_BYTES_MAX)
        body = msgspec.json.encode(quiet.bodies[endpoint.operation])
        assert await quiet.send(endpoint, body.ljust(most)) == 200
        assert await quiet.send(endpoint, body.ljust(most + 1)) == 413


@pytest.mark.holds("S17")
async def test_a_body_without_a_length_has_the_same_bound(quiet: Quiet) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(request_limits.GRAPH_BYTES_MAX // 2**16 + 1):
            yield b" " * 2**16

    for endpoint in quiet.endpoints:
        assert await quiet.send(endpoint, chunks()) == 413


async def test_a_body_that_nobody_reads_is_bounded_under_a_key(quiet: Quiet) -> None:
    """The key is kept with the hash of the body, so here the body is read."""
    body = b" " * (request_limits.REQUEST_BYTES_MAX + 1)
    refused = await quiet.user.post("/api/v1/auth/user", body, Idempotency_Key="key")
    answered(refused, 413)


CREATE = "POST /api/graphs"
UPDATE = "PUT /api/graphs/{graph_id}"
EXECUTE = "POST /api/graphs/{graph_id}/execute"
FORK = "POST /api/graphs/{graph_id}/executions/{run_id}/fork"
SETTINGS = "PATCH /api/graphs/{graph_id}/settings"
LAX = {
    "0 for false": (EXECUTE, b'{"dry_run":0}', "dry_run: Expected `bool`, got `int`"),
    "a text for a number": (FORK, b'{"version":"1"}', "version: Expected `int | null`, got `str`"),
    "a number with a fraction": (FORK, b'{"version":1.0}', "version: Expected `int | null`"),
    "a text for true": (SETTINGS, b'{"sensitive_action_safe_mode":"true"}', "sensitive_action"),
    "within": (EXECUTE, b'{"budget":{"steps":"9"}}', "budget.steps: Expected `int | null`"),
    "unknown": (FORK, b'{"version":1,"node":"x"}', "The body: Object contains unknown field"),
    "unknown within": (EXECUTE, b'{"budget":{"step":1}}', "budget: Object contains unknown field"),
    "twice": (FORK, b'{"version":1,"version":2}', "The body has an object with two members"),
    "twice within": (EXECUTE, b'{"inputs":{"x":[{"a":1,"a":2}]}}', "The body has an object"),
    "twice in other words": (SETTINGS, b'{"a":1,"\\u0061":1}', "The body has an object"),
    "twice in a review": (
        ACTION,
        b'{"reviews":[{"node_exec_id":"x","approved":false,"approved":true}]}',
        "The body has an object with two members of one name",
    ),
    "twice around a graph": (CREATE, b'{"graph":{},"graph":{}}', "The body has an object"),
    "twice in a graph": (CREATE, b'{"graph":{"nodes":[],"nodes":[1]}}', "The body has an object"),
    "twice in a version": (UPDATE, b'{"nodes":[],"nodes":[1]}', "The body has an object"),
    "0 in a review": (ACTION, b'{"reviews":[{"node_exec_id":"x","approved":1}]}', "reviews"),
}


@pytest.mark.parametrize(("operation", "body", "message"), LAX.values(), ids=list(LAX))
@pytest.mark.holds("S14", "S18")
async def test_a_body_is_taken_as_it_is_meant_or_not_at_all(
    quiet: Quiet, operation: str, body: bytes, message: str
) -> None:
    (endpoint,) = [each for each in quiet.endpoints if each.operation == operation]
    assert message in await quiet.reason(endpoint, body)


async def test_what_clients_of_the_platform_send_beyond_what_is_read_is_ignored(
    quiet: Quiet,
) -> None:
    for endpoint in quiet.endpoints:
        if endpoint.operation != FORK:
            body = {**quiet.bodies[endpoint.operation], "more": 1}
            assert await quiet.send(endpoint, body) == 200


async def test_who_leaves_within_a_body_is_no_error(installation: Platform, user: Caller) -> None:
    port = installation.http.base_url.port
    head = [
        "POST /api/v1/graphs HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        "Content-Length: 1000",
        f"Authorization: {user.headers['Authorization']}",
    ]
    with capture_logs() as logged:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write("\r\n".join([*head, "", "{"]).encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await until(lambda: "request.left" in {entry["event"] for entry in logged})
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
