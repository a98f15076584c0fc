"""Forks of real runs. What they take over is in tests/domain/engine/test_forks.py."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from blocks.catalogue import CONTRACTS
from blocks.io import AgentInput
from blocks.logic import StepThroughItems
from blocks.web import SendWebRequest
from commands import graphs
from commands.runs import control, forks
from commands.runs.starts import RunAccepted
from domain import credits as accounts
from domain.errors import (
    Conflict,
    DomainError,
    GraphInvalid,
    Invalid,
    NotFound,
    PaymentRequired,
)
from domain.limits import run_limits
from domain.run_starts import Budget
from domain.runs import Fork, NodeDeferred
from runtime.aggregates.command_context import CommandContext, Idempotency
from runtime.aggregates.repository import Done, Repository
from runtime.aggregates.run_repository import RunRepository
from tests.commands.runs.driving import ADA, EVE, Worker, agent, created, saved, start
from tests.domain.engine.test_run import NOON
from tests.support.graphs import agent_input, agent_output, echo, graph, items, node

REQUESTS = graph(
    items("urls", "http://one/", "http://two/"),
    agent_input("body"),
    node("web", SendWebRequest),
    agent_output("y"),
    links="""
        urls.item > web.url
        body.result > web.body
        web.response > y.value
    """,
)


async def begun(repository: Repository, **start_with: Any) -> Worker:
    """A run with two requests ready: execution 0 yielded both urls, execution 1 the body."""
    graph_id = await saved(repository, REQUESTS)
    done = await start(repository, graph_id, inputs={"body": {"a": 1}}, **start_with)
    worker = await Worker.of(repository, done.answer.run_id)
    await worker.claims()
    await worker.completes(AgentInput, ("result", {"a": 1}))
    await worker.completes(StepThroughItems, ("item", "http://one/"), ("item", "http://two/"))
    return worker


async def fork(
    repository: Repository, worker: Worker, context: CommandContext = ADA, **changes: Any
) -> Done[RunAccepted]:
    assert worker.run.created is not None
    wanted: dict[str, Any] = {
        "run_id": worker.run_id,
        "graph_id": worker.run.created.graph_id,
        "execution": None,
        "version": None,
        "inputs": {},
        "contracts": CONTRACTS,
    }
    return await forks.fork(repository, context, RunRepository(repository), **wanted | changes)


async def taken_up(repository: Repository, done: Done[RunAccepted]) -> Worker:
    return await Worker.of(repository, done.answer.run_id)


def ready(worker: Worker) -> list[tuple[str, Any]]:
    """What the run would do next: blocks, and what they are given."""
    found = []
    while (execution := worker.run.take()) is not None:
        found.append((execution.node.node.contract.name, execution.data))
    return found


def requests(*urls: str, body: Any = None) -> list[tuple[str, Any]]:
    body = body or {"a": 1}
    return [("SendWebRequestBlock", {"url": url, "body": body}) for url in urls]


# --- where a fork begins -------------------------------------------------------------------------
async def test_a_fork_is_one_append_with_its_hold(repository: Repository) -> None:
    worker = await begun(repository, budget=Budget(steps=50, seconds=9.5, credits=5))
    assert worker.run.created is not None
    head = await repository.log.read_head()
    done = await fork(repository, worker, version=4)
    assert done.position == head + 2
    planned = Fork(run_id=worker.run_id, version=4)
    assert await created(repository, done.answer.run_id) == msgspec.structs.replace(
        worker.run.created, fork=planned, held=1
    )
    assert (done.answer.fork, done.answer.inputs) == (planned, {"body": {"a": 1}})
    account = (await repository.load(accounts.ACCOUNT, "ada")).state
    assert dict(account.holds) == {worker.run_id: 1, done.answer.run_id: 1}


async def test_a_fork_at_a_version_goes_on_from_there(repository: Repository) -> None:
    worker = await begun(repository)
    early = await taken_up(repository, await fork(repository, worker, version=1))
    assert [name for name, _ in ready(early)] == ["StepThroughItemsBlock", "AgentInputBlock"]
    late = await taken_up(repository, await fork(repository, worker, version=4))
    assert ready(late) == requests("http://one/", "http://two/")


async def test_the_end_of_a_run_is_no_place_to_begin(repository: Repository) -> None:
    worker = await begun(repository)
    await worker.suspended()
    await control.stop(repository, ADA, worker.run_id)
    for version in (0, -1, 6, 7):
        with pytest.raises(Invalid, match="begins at a version from 1 to 5"):
            await fork(repository, worker, version=version)
    done = await fork(repository, worker, version=5)
    assert ready(await taken_up(repository, done)) == requests("http://one/", "http://two/")


@pytest.mark.parametrize("what", [{}, {"execution": 1, "version": 1}])
async def test_a_fork_begins_at_one_place(repository: Repository, what: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="at one of them"):
        await fork(repository, await begun(repository), **what)


async def test_a_fork_before_an_execution_does_that_one_again(repository: Repository) -> None:
    worker = await begun(repository)
    await worker.starts(SendWebRequest)
    await worker.completes(SendWebRequest, ("response", 1))
    await worker.completes(SendWebRequest, ("response", 2))
    done = await fork(repository, worker, execution=2)
    assert done.answer.fork == Fork(run_id=worker.run_id, version=4, execution=2)
    assert ready(await taken_up(repository, done)) == requests("http://one/", "http://two/")
    second = await fork(repository, worker, execution=3, inputs={"url": "http://three/"})
    assert second.answer.fork is not None
    assert second.answer.fork.version == 6
    run = await taken_up(repository, second)
    assert ready(run) == [
        *requests("http://three/"),
        ("AgentOutputBlock", {"name": "y", "value": 1}),
    ]
    assert (await created(repository, run.run_id)).inputs == {"body": {"a": 1}}


async def test_an_execution_that_has_not_begun_is_forked_as_it_is(repository: Repository) -> None:
    worker = await begun(repository)
    other = worker.run.executions[3]
    await worker.append(NodeDeferred(3, other.node.node.node_id, NOON))
    done = await fork(repository, worker, execution=2, inputs={"method": "GET"})
    assert done.answer.fork is not None
    assert done.answer.fork.version == worker.run.version == 5
    first, second = ready(await taken_up(repository, done))
    assert first[1] == {"url": "http://one/", "body": {"a": 1}, "method": "GET"}
    assert second == requests("http://two/")[0]


async def test_an_execution_that_a_fork_took_over_is_looked_up_where_it_happened(
    repository: Repository,
) -> None:
    worker = await begun(repository)
    await worker.completes(SendWebRequest, ("response", 1))
    child = await taken_up(repository, await fork(repository, worker, version=5))
    await child.completes(SendWebRequest, ("response", 2))
    grandchild = await taken_up(repository, await fork(repository, child, version=2))
    for number, source, version in ((0, worker, 3), (2, worker, 4), (3, child, 1)):
        done = await fork(repository, grandchild, execution=number)
        assert done.answer.fork is not None
        assert (done.answer.fork.run_id, done.answer.fork.version) == (source.run_id, version)
    own = await fork(repository, grandchild, execution=4)
    assert own.answer.fork is not None
    assert (own.answer.fork.run_id, own.answer.fork.depth) == (grandchild.run_id, 3)


async def test_there_is_no_such_execution(repository: Repository) -> None:
    worker = await begun(repository)
    with pytest.raises(NotFound, match="Node execution 9 of execution"):
        await fork(repository, worker, execution=9)


async def test_forks_of_forks_end_somewhere(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_limits, "FORK_DEPTH_MAX", 2)
    worker = await begun(repository)
    for depth in (1, 2):
        worker = await taken_up(repository, await fork(repository, worker, version=1))
        assert worker.run.created is not None
        assert worker.run.created.fork is not None
        assert worker.run.created.fork.depth == depth
    with pytest.raises(Conflict, match="at most 2 forks of forks"):
        await fork(repository, worker, version=1)


# --- with other inputs ---------------------------------------------------------------------------
async def test_inputs_of_the_run_are_those_of_the_fork(repository: Repository) -> None:
    worker = await begun(repository)
    done = await fork(repository, worker, version=2, inputs={"body": {"b": 2}})
    run = await taken_up(repository, done)
    assert done.answer.inputs == {"body": {"b": 2}}
    assert ("AgentInputBlock", {"name": "body", "value": {"b": 2}}) in ready(run)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"version": 4, "inputs": {"body": {}}}, "the input 'body' was used before version 4"),
        ({"version": 1, "inputs": {"other": 1}}, "the input 'other' was used before version 1"),
        ({"execution": 2, "inputs": {"method": "LOUD"}}, "method: must be one of"),
        ({"execution": 2, "inputs": {"address": 1}}, "has no input 'address'"),
        ({"execution": 2, "inputs": {"body_$_x": 1}}, "'x' is not a list index"),
    ],
    ids=["used", "unknown", "refused by the block", "no pin", "no path"],
)
async def test_inputs_that_cannot_be_given(
    repository: Repository, what: dict[str, Any], message: str
) -> None:
    worker = await begun(repository)
    head = await repository.log.read_head()
    with pytest.raises(Invalid, match=message):
        await fork(repository, worker, **what)
    assert await repository.log.read_head() == head


async def test_an_agent_is_given_other_inputs(repository: Repository) -> None:
    leaf = await saved(repository, echo())
    top = graph(agent("part", leaf, x=1), agent_output("y"), links="part.y > y.value")
    done = await start(repository, await saved(repository, top))
    worker = await Worker.of(repository, done.answer.run_id)
    forked = await taken_up(
        repository, await fork(repository, worker, execution=0, inputs={"x": 2})
    )
    assert ready(forked) == [("AgentExecutorBlock", {"x": 2})]


async def test_large_inputs_stay_where_they_are(repository: Repository) -> None:
    large = {"text": "x" * 70_000}
    graph_id = await saved(repository, REQUESTS)
    done = await start(repository, graph_id, inputs={"body": large})
    worker = await Worker.of(repository, done.answer.run_id)
    forked = await fork(repository, worker, version=1)
    first, source = (
        await created(repository, forked.answer.run_id),
        await created(repository, worker.run_id),
    )
    assert first.large == source.large != {}
    assert forked.answer.inputs == {"body": large}
    assert ready(await taken_up(repository, forked))[1][1]["value"] == large


async def test_a_fork_of_a_child_is_a_run_of_its_own(repository: Repository) -> None:
    leaf = await saved(repository, echo())
    top = graph(agent("part", leaf, x=1), agent_output("y"), links="part.y > y.value")
    done = await start(repository, await saved(repository, top))
    parent = await Worker.of(repository, done.answer.run_id)
    child = await parent.becomes_a_parent()
    await control.stop(repository, ADA, child.run_id)
    accepted = await fork(repository, child, version=1)
    assert (await created(repository, accepted.answer.run_id)).parent is None


# --- as any start --------------------------------------------------------------------------------
async def test_a_fork_asks_as_its_graph_says_now(repository: Repository) -> None:
    worker = await begun(repository)
    assert worker.run.created is not None
    await graphs.change_settings(
        repository, ADA, graph_id=worker.run.created.graph_id, sensitive_action_safe_mode=True
    )
    done = await fork(repository, worker, version=1)
    assert (await created(repository, done.answer.run_id)).asks_sensitive


async def test_a_run_is_forked_by_its_owner(repository: Repository) -> None:
    worker = await begun(repository)
    head = await repository.log.read_head()
    for context, changes in (
        (EVE, {}),
        (ADA, {"graph_id": "another"}),
        (ADA, {"run_id": "018f3c2e-7d10-7a3b-9c55-0b6e2f4d8a01"}),
        (ADA, {"run_id": "no id at all\x00"}),
    ):
        with pytest.raises(NotFound, match="Execution "):
            await fork(repository, worker, context, version=1, **changes)
    assert await repository.log.read_head() == head


async def test_what_keeps_a_start_from_happening(repository: Repository) -> None:
    worker = await begun(repository)
    fewer = {block_id: c for block_id, c in CONTRACTS.items() if block_id != AgentInput.id}
    with pytest.raises(GraphInvalid, match=f"Block {AgentInput.id} is no longer available"):
        await fork(repository, worker, version=1, contracts=fewer)
    loaded = await repository.load(accounts.ACCOUNT, "ada")
    everything = accounts.hold(loaded.state, hold="all", amount=9)
    await repository.log.append(loaded.write(everything), ADA.origin)
    with pytest.raises(PaymentRequired):
        await fork(repository, worker, version=1)


async def test_under_a_key_a_run_is_forked_once(repository: Repository) -> None:
    worker = await begun(repository)
    keyed = msgspec.structs.replace(ADA, idempotency=Idempotency("key", b"request"))
    answers = await asyncio.gather(*(fork(repository, worker, keyed, version=1) for _ in range(8)))
    assert {answer.answer.run_id for answer in answers} == {answers[0].answer.run_id}


async def test_a_crowd_of_forks_is_served_to_the_last(repository: Repository) -> None:
    """All of them hold credits of one account."""
    worker = await begun(repository)
    answers = await asyncio.gather(
        *(fork(repository, worker, version=1) for _ in range(12)), return_exceptions=True
    )
    accepted = [answer for answer in answers if isinstance(answer, Done)]
    assert len(accepted) == 9
    assert all(isinstance(a, PaymentRequired) for a in answers if isinstance(a, DomainError))
