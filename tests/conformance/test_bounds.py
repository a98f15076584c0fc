"""Runs that would be too long, too dear or too large end with the reason, and cost no more."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.data import AddToList
from blocks.logic import Condition
from domain.credits import NO_BALANCE
from domain.limits import run_limits
from domain.runs import RunSuspended
from tests.conformance import shapes
from tests.conformance.people import credits_of, poor
from tests.support.api import Caller, Platform, answered
from tests.support.effects import Effects
from tests.support.graphs import (
    agent,
    agent_input,
    agent_output,
    echo,
    graph,
    items,
    node,
    with_policy,
)
from tests.support.http_server import http_server, stalled
from tests.support.installation import Installation


@pytest.mark.holds("S19")
async def test_a_list_that_doubles_runs_into_the_bound_of_its_size(user: Caller) -> None:
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
    bound = f"a node yields at most {run_limits.NODE_OUTPUT_BYTES_MAX} bytes"
    assert outcome.executions["add"][-1]["output_data"] == {"error": [bound]}


async def test_what_was_at_work_when_the_credits_ended_costs_nothing(
    installation: Platform,
) -> None:
    """Nobody answers the first two requests while the third cannot be paid for."""
    user = await poor(installation, 2)
    async with http_server({"/silent": lambda _: stalled()}) as server:
        outcome = await user.run(shapes.requests_at_once(server.url("/silent"), times=3))
    assert (outcome.status, outcome.run["stats"]["cost"]) == ("FAILED", 0)
    assert outcome.run["stats"]["error"] == NO_BALANCE
    assert outcome.statuses("web") == ["FAILED"] * 3
    assert await credits_of(user) == 2


async def test_attempts_end_when_the_credits_do(installation: Platform) -> None:
    """Nobody answers, and of a hundred attempts two can be paid for."""
    user = await poor(installation, 2)
    retries = {"attempts": 100, "first_seconds": 0}
    async with http_server({}) as server:
        closed = server.url("/")
    patient = with_policy(shapes.request("web", closed), retries=retries)
    outcome = await user.run(graph(patient))
    assert (outcome.status, outcome.run["stats"]["error"]) == ("FAILED", NO_BALANCE)
    assert (outcome.only("web")["attempt"], outcome.run["stats"]["cost"]) == (2, 2)
    assert await credits_of(user) == 0


@pytest.mark.holds("S19")
async def test_a_run_ends_behind_its_steps(user: Caller) -> None:
    outcome = await user.run(shapes.endless(), budget={"steps": 5})
    assert outcome.status == "FAILED"
    assert outcome.run["stats"]["error"] == "The run used up its budget of 5 node executions"
    assert outcome.run["budget"] == {"steps": 5, "seconds": None, "credits": None}
    assert len(outcome.inputs("add")) == 5


async def test_a_run_of_just_so_many_steps_completes(user: Caller) -> None:
    outcome = await user.run(echo(), {"x": 1}, budget={"steps": 2})
    assert (outcome.status, outcome.outputs) == ("COMPLETED", {"y": [1]})


@pytest.mark.parametrize("waits", [shapes.slow, shapes.waiting])
async def test_a_run_ends_with_its_seconds(user: Caller, waits: Any) -> None:
    """Whether it is at work or rests."""
    outcome = await user.run(graph(waits("n")), budget={"seconds": 0.5})
    assert outcome.status == "FAILED"
    assert outcome.run["stats"]["error"] == "The run used up its budget of 0.5 seconds"
    assert outcome.statuses("n") == ["FAILED"]


async def test_seconds_go_on_while_nobody_has_the_run(
    user: Caller, installation: Installation
) -> None:
    saved = await user.save(graph(shapes.waiting("n")))
    run_id = await user.start(saved, budget={"seconds": 1.5})
    await installation.recorded(run_id, RunSuspended)
    await installation.kill_executor()
    outcome = await user.ended(saved, run_id)
    assert outcome.run["stats"]["error"] == "The run used up its budget of 1.5 seconds"


async def test_a_run_ends_before_it_costs_more_than_its_credits(
    user: Caller, service: Effects
) -> None:
    before = await credits_of(user)
    outcome = await user.run(shapes.effects_in_a_row(service.url), budget={"credits": 1})
    assert outcome.status == "FAILED"
    assert outcome.run["stats"]["error"] == "The run used up its budget of 1 credits"
    assert outcome.run["stats"]["cost"] == sum(service.seen.values()) == 1
    assert await credits_of(user) == before - 1


@pytest.mark.holds("S19")
async def test_sub_graphs_beside_each_other_cost_no_more_than_the_credits_of_all(
    user: Caller, service: Effects
) -> None:
    before = await credits_of(user)
    child = await user.save(shapes.one_effect(service.url))
    outcome = await user.run(shapes.one_by_one(child.model, 1, 2, 3), budget={"credits": 2})
    assert outcome.run["stats"]["cost"] == sum(service.seen.values()) == 2
    assert sorted(outcome.statuses("sub")) == ["COMPLETED", "COMPLETED", "FAILED"]
    failed = [one["output_data"] for one in outcome.executions["sub"] if one["status"] == "FAILED"]
    assert failed == [{"error": ["The run used up its budget of 2 credits"]}]
    assert await credits_of(user) == before - 2


async def test_what_a_sub_graph_did_not_use_is_there_for_the_next(user: Caller) -> None:
    """Of two ways it takes one, so of its four nodes three run."""
    links = """
        x.result > if.value1
        if.yes_output > yes.value
        if.no_output > no.value
    """
    nodes = (node("if", Condition, operator=">", value2=0), agent_output("yes"), agent_output("no"))
    child = await user.save(graph(agent_input("x"), *nodes, links=links))
    first, second = agent("sub", child.model, x=1), agent("next", child.model)
    both = graph(first, second, agent_output("y"), links="sub.yes > next.x\nnext.yes > y.value")
    outcome = await user.run(both, budget={"steps": 3 + 3 + 3})
    assert (outcome.status, outcome.run["stats"]["node_exec_count"]) == ("COMPLETED", 9)
    less = await user.run(both, budget={"steps": 3 + 3 + 2})
    assert less.run["stats"]["error"] == "The run used up its budget of 8 node executions"


@pytest.mark.parametrize("waits", [shapes.slow, shapes.waiting])
@pytest.mark.holds("S19")
async def test_sub_graphs_end_with_the_seconds_of_their_parents(user: Caller, waits: Any) -> None:
    child = await user.save(graph(waits("n")))
    top = await user.save(shapes.handing_on(child.model, "error"))
    run_id = await user.start(top, budget={"seconds": 0.5})
    outcome = await user.ended(top, run_id)
    assert outcome.run["stats"]["error"] == "The run used up its budget of 0.5 seconds"
    below = await user.ended(child, outcome.children("sub")[0])
    assert below.status in {"FAILED", "TERMINATED"}
    assert below.run["budget"] == outcome.run["budget"]


@pytest.mark.parametrize(
    "budget",
    [
        {"steps": 0},
        {"steps": run_limits.RUN_STEPS_MAX + 1},
        {"seconds": 0},
        {"seconds": run_limits.RUN_SECONDS_MAX + 1},
        {"credits": -1},
        {"credits": run_limits.RUN_CREDITS_MAX + 1},
    ],
)
async def test_a_budget_out_of_bounds_is_refused(user: Caller, budget: dict[str, Any]) -> None:
    saved = await user.save(echo())
    refused = await user.post(saved.execute_path, {"budget": budget})
    assert answered(refused, 400)["message"].startswith("the budget of ")
