"""What runs cost, and what happens when there is nothing to pay with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from blocks.web import SendWebRequest
from runtime import ids
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Repository
from runtime.embedded.postgres import PostgresServer
from tests.support.api import Caller, Platform, answered, platform
from tests.support.credits import grant
from tests.support.effects import effects
from tests.support.graphs import Document, echo, graph, items, node
from tests.support.http_server import answer, http_server

NO_BALANCE = "Insufficient balance to execute the agent. Please top up your account."


def requests(url: str, count: int = 1) -> Document:
    """A graph with that many nodes that cost a credit each."""
    webs = [node(f"web{n}", SendWebRequest, body={"number": n}) for n in range(count)]
    links = "\n".join(f"url.item > web{n}.url" for n in range(count))
    return graph(items("url", url), *webs, links=links)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stingy(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """An installation that gives nothing to new users."""
    folder = tmp_path_factory.mktemp("stingy")
    async with platform(postgres, folder, workers=False, signup_credits=0) as running:
        yield running


async def test_without_credits_nothing_runs(stingy: Platform) -> None:
    user = await stingy.user()
    assert await user.read("/api/v1/credits") == {"credits": 0}
    saved = await user.save(echo())
    head = await stingy.head()
    refused = answered(await user.post(f"/api/v1/graphs/{saved.graph_id}/execute/1"), 402)
    assert refused["type"] == "payment_required"
    assert refused["message"] == refused["detail"] == NO_BALANCE
    assert await stingy.head() == head


async def test_the_balance_is_asked_before_the_graph(stingy: Platform) -> None:
    """Credits are asked for first (R1), so nobody looks whether the graph is there."""
    user = await stingy.user()
    answered(await user.post(f"/api/v1/graphs/{ids.new_id()}/execute/1"), 402)


async def test_who_never_registered_has_nothing(installation: Platform) -> None:
    caller = installation.caller()
    assert await caller.read("/api/v1/credits") == {"credits": 0}
    saved = await caller.save(echo())
    answered(await caller.post(f"/api/v1/graphs/{saved.graph_id}/execute/1"), 402)


async def test_a_run_needs_the_price_of_all_its_nodes(stingy: Platform) -> None:
    user = stingy.caller()
    context = CommandContext(owner=str(user.user_id), actor="test")
    await grant(Repository(stingy.log), context, amount=1, reason="test")
    dear, cheap = [await user.save(requests("http://localhost/", count)) for count in (2, 1)]
    head = await stingy.head()
    refused = await user.post(f"/api/v1/graphs/{dear.graph_id}/execute/1")
    assert answered(refused, 402)["message"] == NO_BALANCE
    assert await stingy.head() == head
    await user.start(cheap)
    assert await user.read("/api/v1/credits") == {"credits": 0}


async def test_a_price_is_held_and_then_paid(user: Caller) -> None:
    async with effects() as service:
        saved = await user.save(requests(service.url, 3))
        with service.held():
            run_id = await user.start(saved)
            await service.asked(3)
            assert await user.read("/api/v1/credits") == {"credits": 997}
        outcome = await user.ended(saved, run_id)
    assert outcome.run["stats"]["cost"] == 3
    assert await user.read("/api/v1/credits") == {"credits": 997}


async def test_each_attempt_that_fails_costs_as_much_as_one_that_does_not(user: Caller) -> None:
    async with http_server({"/": lambda _: answer(200)}) as server:
        closed = server.url("/")
    outcome = await user.run(requests(closed))
    assert (outcome.status, outcome.run["stats"]["node_error_count"]) == ("COMPLETED", 1)
    assert outcome.run["stats"]["cost"] == SendWebRequest.policy.retries.attempts == 3
    assert await user.read("/api/v1/credits") == {"credits": 997}


async def test_most_blocks_are_free(user: Caller) -> None:
    await user.run(echo(), {"x": 1})
    assert await user.read("/api/credits") == {"credits": 1_000}
