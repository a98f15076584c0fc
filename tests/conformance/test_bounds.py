"""Long runs, endless ones and dear ones: the cases C16, C27 and C33 of the engine's rules."""

from __future__ import annotations

import msgspec

from blocks.data import AddToList, StoreValue
from blocks.logic import CountItems, StepThroughItems
from blocks.web import SendWebRequest
from commands.context import Context
from commands.credits import grant
from commands.streams import Streams
from domain import limits
from domain.credits import NO_BALANCE
from tests.support.api import Caller, Platform
from tests.support.graphs import agent_input, agent_output, graph, items, node
from tests.support.http_server import Received, answer, http_server, stalled


async def test_c16_a_loop_without_end_runs_into_its_budget(user: Caller) -> None:
    links = """
        start.output > add.list
        add.updated_list > add.list
    """
    nodes = (node("start", StoreValue, input=["same"]), node("add", AddToList))
    outcome = await user.run(graph(*nodes, links=links))
    budget = limits.CYCLIC_RUN_STEPS_MAX
    assert outcome.status == "FAILED"
    assert outcome.run["stats"]["error"] == (
        f"The run used up its budget of {budget} node executions"
    )
    assert len(outcome.inputs("add")) == budget


async def test_c16_a_list_that_doubles_runs_into_the_bound_of_its_size(user: Caller) -> None:
    links = """
        start.item > add.list
        start.item > add.entries
        add.updated_list > add.list
        add.updated_list > add.entries
    """
    nodes = (items("start", ["x" * 1000]), node("add", AddToList))
    outcome = await user.run(graph(*nodes, links=links))
    assert outcome.status == "COMPLETED"
    assert outcome.run["stats"]["node_error_count"] == 1
    bound = f"a node yields at most {limits.NODE_OUTPUT_BYTES_MAX} bytes"
    assert outcome.executions["add"][-1]["output_data"] == {"error": [bound]}


async def poor(installation: Platform, amount: int) -> Caller:
    """Somebody with this much, and no more."""
    caller = installation.caller()
    context = Context(owner=str(caller.user_id), actor="test")
    await grant(Streams(installation.log), context, amount=amount, reason="test")
    return caller


async def test_c27_a_run_ends_when_the_credits_do(installation: Platform) -> None:
    """Each answer names the next request; three can be paid for."""
    user = await poor(installation, 3)
    links = """
        first.item > web.url
        web.response_#_next > web.url
    """

    def name_the_next(_: Received) -> bytes:
        body = msgspec.json.encode({"next": server.url("/next")})
        return answer(200, body, Content_Type="application/json")

    async with http_server({"/next": name_the_next}) as server:
        first = items("first", server.url("/next"))
        outcome = await user.run(graph(first, node("web", SendWebRequest), links=links))
    assert outcome.status == "FAILED"
    assert outcome.run["stats"]["error"] == NO_BALANCE
    assert outcome.run["stats"]["cost"] == len(server.received) == 3
    assert outcome.statuses("web") == ["COMPLETED"] * 3 + ["FAILED"]
    assert await user.read("/api/v1/credits") == {"credits": 0}


async def test_c27_what_was_at_work_is_cancelled_and_costs_nothing(installation: Platform) -> None:
    """Nobody answers the first two requests while the third cannot be paid for."""
    user = await poor(installation, 2)
    async with http_server({"/silent": lambda _: stalled()}) as server:
        urls = items("urls", *[server.url("/silent")] * 3)
        web = node("web", SendWebRequest)
        outcome = await user.run(graph(urls, web, links="urls.item > web.url"))
    assert (outcome.status, outcome.run["stats"]["cost"]) == ("FAILED", 0)
    assert outcome.statuses("web") == ["FAILED"] * 3
    assert await user.read("/api/v1/credits") == {"credits": 2}


async def test_c33_a_long_run_keeps_the_outputs_of_its_start(user: Caller) -> None:
    links = """
        x.result > y.value
        x.result > each.items
        each.item > count.collection
    """
    given = [["entry"]] * 1_497
    nodes = (agent_input("x"), agent_output("y"), node("each", StepThroughItems))
    outcome = await user.run(graph(*nodes, node("count", CountItems), links=links), {"x": given})
    assert outcome.outputs == {"y": [given]}
    assert outcome.run["stats"]["node_exec_count"] == 1_500
    assert sum(map(len, outcome.executions.values())) == 1_500
    assert set(outcome.statuses("count")) == {"COMPLETED"}
