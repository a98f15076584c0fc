"""Runs that are parts of other runs: what they begin with, and why they may not begin."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from blocks.agents import AgentExecutor
from blocks.catalogue import CONTRACTS
from blocks.io import AgentInput
from blocks.web import SendWebRequest
from commands import graphs
from commands.runs import children
from commands.runs.children import SubGraph
from domain import credits as accounts
from domain.budgets import Allotment
from domain.credits import Account
from domain.errors import GraphInvalid, Invalid, NotFound, PaymentRequired
from domain.limits import run_limits
from domain.run_starts import Budget
from domain.runs import Parent, RunCreated, execution_id
from runtime import ids
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Repository
from tests.commands.runs.driving import ADA, EVE, Worker, agent, created, saved, start
from tests.support.graphs import Document, agent_input, agent_output, echo, graph, node
from tests.support.log import append, whole_stream

PAID_ECHO = graph(
    agent_input("x"),
    node("web", SendWebRequest, url="http://localhost/"),
    agent_output("y"),
    links="""
        x.result > web.body
        web.response > y.value
    """,
)


ECHO_ONCE = Allotment(steps=2)


def around(part: Document) -> Document:
    """A graph that is not much more than one agent."""
    return graph(
        agent_input("in"),
        part,
        agent_output("out"),
        links="in.result > part.x\npart.y > out.value",
    )


async def parent_of(
    repository: Repository, graph_id: str, value: Any = 1, **start_with: Any
) -> Worker:
    """A run of a graph around this one, with its agent ready."""
    top = await saved(repository, around(agent("part", graph_id, z=2)))
    done = await start(repository, top, inputs={"in": value}, **start_with)
    worker = await Worker.of(repository, done.answer.run_id)
    await worker.claims()
    await worker.completes(AgentInput, ("result", value))
    return worker


async def part_of(repository: Repository, parent: Worker) -> SubGraph:
    execution = parent.at_hand(AgentExecutor)
    return await children.part(repository, PlanCache(repository), parent.run, execution, CONTRACTS)


async def begun(repository: Repository, parent: Worker) -> RunCreated:
    """How the parent's agent begins as a run."""
    return await created(repository, (await parent.becomes_a_parent()).run_id)


async def account(repository: Repository) -> Account:
    return (await repository.load(accounts.ACCOUNT, "ada")).state


async def hold_everything(repository: Repository) -> None:
    loaded = await repository.load(accounts.ACCOUNT, "ada")
    held = accounts.hold(loaded.state, hold="all", amount=loaded.state.available)
    await repository.log.append(loaded.write(held), ADA.origin)


async def test_a_child_begins_with_what_its_node_was_given(repository: Repository) -> None:
    graph_id = await saved(repository, echo())
    parent = await parent_of(repository, graph_id, {"a": 1})
    execution = parent.at_hand(AgentExecutor)
    child = await parent.becomes_a_parent()
    assert child.run_id == execution_id(parent.run_id, execution.number)
    top = await created(repository, parent.run_id)
    assert top.tree is not None
    assert await created(repository, child.run_id) == RunCreated(
        user_id="ada",
        graph_id=graph_id,
        graph_version=1,
        inputs={"z": 2, "x": {"a": 1}},
        steps_max=run_limits.RUN_STEPS_MAX,
        parent=Parent(parent.run_id, execution.number, depth=1),
        tree=msgspec.structs.replace(top.tree, allotment=ECHO_ONCE, root=parent.run_id),
    )
    assert [e.data for e in child.run.executions.values()] == [{"name": "x", "value": {"a": 1}}]


async def test_a_child_that_exists_is_joined_again(repository: Repository) -> None:
    parent = await parent_of(repository, await saved(repository, echo()))
    child = await parent.becomes_a_parent()
    await child.claims()
    part = await part_of(repository, parent)
    assert (part.child_id, part.exists) == (child.run_id, True)
    execution = parent.at_hand(AgentExecutor)
    assert await children.opening(repository, parent.run, execution, part, ECHO_ONCE) == []


async def test_a_child_has_a_hold_of_its_own(repository: Repository) -> None:
    parent = await parent_of(repository, await saved(repository, PAID_ECHO, credit=0))
    assert (await account(repository)).held == 0
    child = await parent.becomes_a_parent()
    assert dict((await account(repository)).holds) == {child.run_id: 1}
    assert (await created(repository, child.run_id)).held == 1


@pytest.mark.holds("S19")
async def test_a_child_shares_the_budget_of_its_tree(repository: Repository) -> None:
    """Its graph has a sub-graph of its own, which shares it too."""
    deep = await saved(
        repository, around(agent("part", await saved(repository, echo()), z=2)), credit=0
    )
    budget = Budget(steps=50, seconds=90.0, credits=3)
    parent = await parent_of(repository, deep, budget=budget)
    top = await created(repository, parent.run_id)
    assert top.tree is not None
    assert top.tree.budget == Allotment(steps=50, runs=run_limits.DESCENDANTS_MAX, credits=3)
    child = await parent.becomes_a_parent()
    await child.completes(AgentInput, ("result", 1))
    grandchild = await child.becomes_a_parent()
    for run, once in ((child, Allotment(steps=3, runs=1)), (grandchild, ECHO_ONCE)):
        first = await created(repository, run.run_id)
        assert first.tree is not None
        assert (first.steps_max, first.seconds_max, first.credits_max) == (50, 90.0, 3)
        assert (first.tree.root, first.tree.allotment) == (parent.run_id, once)
        assert (first.tree.budget, first.tree.pool) == (top.tree.budget, top.tree.pool)
        assert first.tree.until is not None


async def test_a_child_of_a_run_from_before_has_a_budget_of_its_own(repository: Repository) -> None:
    """The parent is put into the log by hand, as it was written then."""
    deep = await saved(repository, around(agent("part", await saved(repository, echo()), z=2)))
    top = await saved(repository, around(agent("part", deep, z=2)), credit=0)
    run_id = str(ids.new_id())
    first = RunCreated("ada", top, 1, {"in": 1}, steps_max=100, seconds_max=9.0, credits_max=4)
    await append(repository.log, f"run-{run_id}", 0, first)
    parent = await Worker.of(repository, run_id)
    await parent.completes(AgentInput, ("result", 1))
    child = await begun(repository, parent)
    assert (child.steps_max, child.seconds_max, child.credits_max) == (100_000, None, 4)
    assert child.tree is not None
    assert (child.tree.root, child.tree.budget.credits) == ("", 4)


async def test_who_cannot_pay_for_a_child_is_told(repository: Repository) -> None:
    parent = await parent_of(repository, await saved(repository, PAID_ECHO, credit=0))
    await hold_everything(repository)
    with pytest.raises(PaymentRequired):
        await parent.becomes_a_parent()


async def test_a_free_child_needs_no_credits_beyond_its_parents(repository: Repository) -> None:
    parent = await parent_of(repository, await saved(repository, echo()))
    await hold_everything(repository)
    assert (await begun(repository, parent)).held == 0


async def test_a_child_may_cost_what_is_left_of_its_parents_budget(repository: Repository) -> None:
    graph_id = await saved(repository, PAID_ECHO, credit=0)
    opened = await begun(
        repository, await parent_of(repository, graph_id, budget=Budget(credits=5))
    )
    assert (opened.credits_max, opened.held) == (5, 1)
    nothing = await begun(
        repository, await parent_of(repository, graph_id, budget=Budget(credits=0))
    )
    assert (nothing.credits_max, nothing.held) == (0, 0)


async def test_a_child_asks_as_its_own_graph_says(repository: Repository) -> None:
    graph_id = await saved(repository, echo())
    await graphs.change_settings(
        repository,
        ADA,
        graph_id=graph_id,
        human_in_the_loop_safe_mode=False,
        sensitive_action_safe_mode=True,
    )
    opened = await begun(repository, await parent_of(repository, graph_id))
    assert (opened.asks, opened.asks_sensitive) == (False, True)


async def test_large_inputs_of_a_child_are_stored_apart(repository: Repository) -> None:
    parent = await parent_of(repository, await saved(repository, echo()), "x" * 70_000)
    child = await parent.becomes_a_parent()
    first = (await whole_stream(repository.log, f"run-{child.run_id}"))[0].event
    assert isinstance(first, RunCreated)
    assert (first.inputs, list(first.large)) == ({"z": 2, "x": None}, ["x"])
    assert child.run.created is not None
    assert child.run.created.inputs["x"] == "x" * 70_000


async def test_children_nest_only_so_deep(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that runs itself as long as it is given something."""
    monkeypatch.setattr(run_limits, "CHILD_DEPTH_MAX", 2)
    graph_id = await saved(repository, echo())
    itself = graph(
        agent_input("x"),
        agent("again", graph_id, version=2),
        agent_output("y"),
        links="x.result > again.x\nagain.y > y.value",
    )
    await graphs.save_version(
        repository, ADA, graph_id=graph_id, document=itself, contracts=CONTRACTS
    )
    done = await start(repository, graph_id, inputs={"x": 1})
    worker = await Worker.of(repository, done.answer.run_id)
    for depth in (1, 2):
        await worker.completes(AgentInput, ("result", 1))
        worker = await worker.becomes_a_parent()
        assert worker.run.created is not None
        assert worker.run.created.parent is not None
        assert worker.run.created.parent.depth == depth
    await worker.completes(AgentInput, ("result", 1))
    with pytest.raises(Invalid, match="nested more than 2 deep"):
        await part_of(repository, worker)


@pytest.mark.parametrize(
    ("name", "version", "refusal", "message"),
    [
        ("no graph", 1, NotFound, "Graph no graph not found"),
        ("theirs", 1, NotFound, "Graph .* not found"),
        ("ours", 7, NotFound, "has no version 7"),
        ("linked", 1, GraphInvalid, "1 issues on 1 nodes"),
    ],
    ids=["none", "another's", "another version", "what cannot start"],
)
async def test_what_cannot_become_a_run_says_why(
    repository: Repository, name: str, version: int, refusal: type[Exception], message: str
) -> None:
    """The parent is put into the log by hand: a start would have found out."""
    linked = graph(
        agent_input("x"),
        agent_input("other"),
        agent_output("y"),
        links="x.result > other.value\nother.result > y.value",
    )
    known = {
        "ours": await saved(repository, echo()),
        "theirs": await saved(repository, echo(), context=EVE),
        "linked": await saved(repository, linked),
    }
    part = agent("part", known.get(name, name), version=version, z=2)
    top = await saved(repository, around(part))
    run_id = str(ids.new_id())
    first = RunCreated("ada", top, 1, {"in": 1}, steps_max=100)
    await append(repository.log, f"run-{run_id}", 0, first)
    parent = await Worker.of(repository, run_id)
    await parent.completes(AgentInput, ("result", 1))
    head = await repository.log.read_head()
    with pytest.raises(refusal, match=message):
        await part_of(repository, parent)
    assert await repository.log.read_head() == head
