"""Graphs as parts of graphs: each is a run of its own, for which its parent waits as state."""

from __future__ import annotations

import pytest

from domain.credits import NO_BALANCE
from domain.limits import run_limits
from domain.runs import RunClaimed, RunSuspended
from tests.conformance import shapes
from tests.conformance.people import credits_of, poor
from tests.support.api import Caller, inside_itself
from tests.support.effects import Effects
from tests.support.graphs import (
    agent,
    agent_input,
    agent_output,
    echo,
    graph,
    items,
)
from tests.support.installation import Installation

CHILDREN = 200


async def test_three_levels_hand_their_values_down_and_up(user: Caller, service: Effects) -> None:
    before = await credits_of(user)
    model = (await user.save(shapes.one_effect(service.url))).model
    for _ in range(2):
        model = (await user.save(shapes.around(model))).model
    outcome = await user.run(shapes.around(model), {"x": 1})
    assert outcome.outputs == {"y": [2]}
    assert list(service.seen.values()) == [1]
    assert (outcome.status, outcome.run["outcome"]) == ("COMPLETED", "completed")
    stats = outcome.run["stats"]
    assert (stats["node_exec_count"], stats["cost"]) == (4 * 3, 1)
    assert await credits_of(user) == before - 1


async def test_a_child_says_whose_it_is(user: Caller) -> None:
    child = await user.save(echo())
    outcome = await user.run(shapes.handing_on(child.model, "y", x=1))
    (child_id,) = outcome.children("sub")
    shown = await user.ended(child, child_id)
    assert shown.run["parent_execution_id"] == outcome.run["id"]
    assert shown.run["inputs"] == {"x": 1}
    assert child_id == outcome.only("sub")["node_exec_id"]


async def test_what_an_output_makes_of_a_value_is_handed_on(user: Caller) -> None:
    """The child's own outputs show the value itself."""
    nodes = (agent_input("x"), agent_output("y", format="Dear {{ y }}"))
    child = await user.save(graph(*nodes, links="x.result > y.value"))
    outcome = await user.run(shapes.handing_on(child.model, "y", x="Ada"))
    assert outcome.outputs == {"y": ["Dear Ada"]}
    (child_id,) = outcome.children("sub")
    assert (await user.ended(child, child_id)).outputs == {"y": ["Ada"]}


async def test_a_sub_graph_that_only_reports_errors_completes_its_node(user: Caller) -> None:
    nodes = (shapes.failing("f"), agent_output("why"))
    child = await user.save(graph(*nodes, links="f.error > why.value"))
    outcome = await user.run(shapes.handing_on(child.model, "why"))
    assert outcome.outputs == {"why": [shapes.FAILURE]}
    assert outcome.statuses("sub") == ["COMPLETED"]


async def test_a_sub_graph_that_cannot_be_paid_for_is_an_error_of_its_node(
    installation: Installation, service: Effects
) -> None:
    """The parent holds the last credit for a node of its own."""
    user = await poor(installation, 1)
    child = await user.save(shapes.one_effect(service.url))
    links = """
        number.item > sub.x
        sub.error > why.value
        number.item > a.body_#_number
    """
    a, why = shapes.request("a", service.url), agent_output("why")
    outcome = await user.run(
        graph(items("number", 1), agent("sub", child.model), a, why, links=links)
    )
    assert outcome.outputs == {"why": [NO_BALANCE]}
    assert outcome.statuses("a") == ["COMPLETED"]
    assert len(await user.read("/api/v1/executions")) == 1


@pytest.mark.holds("S19")
async def test_depth_has_a_bound_which_is_an_error_of_the_deepest_node(user: Caller) -> None:
    """Each level hands on what the one below it said."""
    links = """
        x.result > sub.x
        sub.error > y.value
        sub.y > y.value
    """
    recursive = await inside_itself(
        user, graph(agent_input("x"), agent_output("y"), links=links), "sub"
    )
    outcome = await user.ended(recursive, await user.start(recursive, {"x": 1}))
    most = run_limits.CHILD_DEPTH_MAX
    assert outcome.outputs == {"y": [f"sub-graphs are nested more than {most} deep"]}
    assert len(await user.read("/api/v1/executions")) == most + 1
    assert outcome.run["stats"]["node_exec_count"] == 3 * (most + 1)


async def test_hundreds_of_children_end_on_one_executor(
    user: Caller, installation: Installation
) -> None:
    child = await user.save(echo())
    outcome = await user.run(shapes.one_by_one(child.model, *range(CHILDREN)))
    assert sorted(outcome.outputs["y"]) == list(range(CHILDREN))
    assert outcome.statuses("sub") == ["COMPLETED"] * CHILDREN
    assert outcome.run["stats"]["node_exec_count"] == 1 + 4 * CHILDREN


async def test_a_parent_waits_as_state(
    user: Caller, installation: Installation, service: Effects
) -> None:
    """Nobody has it in hand, so it can wait for as long as it likes."""
    child = await user.save(shapes.one_effect(service.url))
    document = await user.save(shapes.handing_on(child.model, "y", x=1))
    with service.held():
        run_id = await user.start(document)
        await service.asked(1)
        suspended = await installation.recorded(run_id, RunSuspended)
        assert (await installation.events(run_id))[-1].event == suspended
    outcome = await user.ended(document, run_id)
    assert outcome.outputs == {"y": [2]}
    kinds = [type(entry.event) for entry in await installation.events(run_id)]
    assert kinds.count(RunClaimed) == 2


async def test_stopping_a_parent_stops_all_below_it(user: Caller) -> None:
    bottom = await user.save(shapes.sleeping())
    middle = await user.save(shapes.handing_on(bottom.model, "error", x=1))
    top = await user.save(shapes.handing_on(middle.model, "error"))
    run_id = await user.start(top)
    first = (await user.until(top, run_id, lambda run: run.children("sub"))).children("sub")[0]
    second = (await user.until(middle, first, lambda run: run.children("sub"))).children("sub")[0]
    await user.command(top, run_id, "stop")
    for document, ended in ((top, run_id), (middle, first), (bottom, second)):
        assert (await user.ended(document, ended)).status == "TERMINATED"


async def test_a_child_that_is_stopped_is_an_error_of_its_parent(user: Caller) -> None:
    child = await user.save(shapes.sleeping())
    top = await user.save(shapes.handing_on(child.model, "error", x=1))
    run_id = await user.start(top)
    (child_id,) = (await user.until(top, run_id, lambda run: run.children("sub"))).children("sub")
    await user.command(child, child_id, "stop")
    outcome = await user.ended(top, run_id)
    assert outcome.outputs == {"error": ["The sub-graph was stopped"]}
