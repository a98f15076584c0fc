"""What a user may store is bounded, however many requests come at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import msgspec
import pytest
import pytest_asyncio

from domain.limits import value_limits
from runtime.secrets import sign_token
from tests.support.api import Caller, Platform, answered, api
from tests.support.graphs import agent_input, agent_output, echo, graph

GRAPHS, VERSIONS, STORED_BYTES = 3, 2, 300_000
LARGE = "x" * (value_limits.VALUE_INLINE_BYTES_MAX + 1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def frugal(installation: Platform) -> AsyncIterator[list[httpx2.AsyncClient]]:
    """Two API processes of an operator who allows little."""
    settings = msgspec.structs.replace(
        installation.settings,
        graphs_per_user=GRAPHS,
        versions_per_graph=VERSIONS,
        stored_bytes_per_user=STORED_BYTES,
    )
    async with api(settings) as one, api(settings) as other:
        yield [one, other]


@pytest.fixture
async def callers(installation: Platform, frugal: list[httpx2.AsyncClient]) -> list[Caller]:
    """Somebody new, at both of them."""
    user = await installation.user()
    token = sign_token(installation.settings, user_id=user.user_id, email="user@example.com")
    return [Caller(http, user.user_id, token) for http in frugal]


def refusals(responses: list[httpx2.Response]) -> list[str]:
    problems = [answered(one, 403) for one in responses if one.status_code != httpx2.codes.OK]
    assert all(problem["type"] == "quota_exceeded" and problem["hint"] for problem in problems)
    return [problem["message"] for problem in problems]


@pytest.mark.holds("S19")
async def test_a_crowd_gets_as_many_graphs_as_one_alone(callers: list[Caller]) -> None:
    crowd = (callers[n % 2].post("/api/v1/graphs", {"graph": echo()}) for n in range(64))
    refused = refusals(await asyncio.gather(*crowd))
    assert refused == [f"A user has at most {GRAPHS} graphs"] * (64 - GRAPHS)
    assert len(await callers[0].read("/api/v1/graphs")) == GRAPHS


@pytest.mark.holds("S19")
async def test_a_crowd_gets_as_many_versions_as_one_alone(callers: list[Caller]) -> None:
    saved = await callers[0].save(echo())
    crowd = (callers[n % 2].put(saved.path, echo()) for n in range(16))
    refused = refusals(await asyncio.gather(*crowd))
    assert refused == [f"A graph has at most {VERSIONS} versions"] * 15


@pytest.mark.holds("S19")
async def test_a_crowd_stores_as_many_bytes_as_one_alone(callers: list[Caller]) -> None:
    """Graphs and large inputs of runs share them."""
    large = graph(agent_input("x", value=LARGE), agent_output("y"), links="x.result > y.value")
    saved = await callers[0].save(large)
    inputs = {"inputs": {"x": LARGE}}
    crowd = (callers[n % 2].post(saved.execute_path, inputs) for n in range(16))
    refused = refusals(await asyncio.gather(*crowd))
    assert len(refused) == 13
    assert all(message.startswith(f"A user may store {STORED_BYTES} bytes") for message in refused)
    assert refusals([await callers[1].put(saved.path, large)])
    answered(await callers[1].post(saved.execute_path, {"inputs": {"x": "small"}}))
