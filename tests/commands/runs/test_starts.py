from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from blocks.catalogue import CONTRACTS
from blocks.io import AgentInput
from blocks.triggers import GenericWebhookTrigger
from blocks.web import SendWebRequest
from commands import graphs
from domain.credits import ACCOUNT, CreditsHeld
from domain.engine.plan import NOT_BY_HAND
from domain.errors import GraphInvalid, Invalid, NotFound, PaymentRequired
from domain.limits import run_limits, value_limits
from domain.run_starts import Budget
from domain.runs import RunCreated
from runtime.aggregates.repository import Repository
from tests.commands.runs.driving import ADA, EVE, created, folded, saved, start
from tests.support import credits as credit_support
from tests.support.graphs import agent_output, echo, graph, items, node
from tests.support.log import whole_stream

PAID = graph(
    items("url", "http://localhost/"),
    node("web", SendWebRequest),
    agent_output("y"),
    links="""
        url.item > web.url
        web.response > y.value
    """,
)


async def test_a_free_run_is_one_event(repository: Repository) -> None:
    graph_id = await saved(repository, echo())
    done = await start(repository, graph_id, inputs={"x": 1})
    (entry,) = await whole_stream(repository.log, f"run-{done.answer.run_id}")
    assert entry.event == RunCreated(
        user_id="ada",
        graph_id=graph_id,
        graph_version=1,
        inputs={"x": 1},
        steps_max=run_limits.RUN_STEPS_MAX,
    )
    assert done.position == entry.position == await repository.log.read_head()


async def test_a_run_and_its_hold_are_one_append(repository: Repository) -> None:
    done = await start(repository, await saved(repository, PAID))
    (created,) = await whole_stream(repository.log, f"run-{done.answer.run_id}")
    held = (await whole_stream(repository.log, "credits-ada"))[-1]
    assert held.event == CreditsHeld(hold=done.answer.run_id, amount=1)
    assert held.recorded_at == created.recorded_at
    assert isinstance(created.event, RunCreated)
    assert created.event.held == 1
    assert (await repository.load(ACCOUNT, "ada")).state.available == 9


async def test_everything_of_a_run_is_found_under_its_id(repository: Repository) -> None:
    done = await start(repository, await saved(repository, PAID))
    async with repository.log.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT originator_id FROM log.stored_events WHERE correlation = %s ORDER BY 1",
            (UUID(done.answer.run_id),),
        )
        found = [row[0] for row in await cursor.fetchall()]
    assert found == ["credits-ada", f"run-{done.answer.run_id}"]


async def test_a_run_with_cycles_has_a_smaller_budget(repository: Repository) -> None:
    done = await start(repository, await saved(repository, echo() | {"allow_cycles": True}))
    (entry,) = await whole_stream(repository.log, f"run-{done.answer.run_id}")
    assert isinstance(entry.event, RunCreated)
    assert entry.event.steps_max == run_limits.CYCLIC_RUN_STEPS_MAX


@pytest.mark.parametrize("credit", [0, 1])
async def test_who_cannot_pay_starts_nothing(repository: Repository, credit: int) -> None:
    twice = graph(*PAID["nodes"], node("more", SendWebRequest), links="url.item > more.url")
    twice["links"] += PAID["links"]
    graph_id = await saved(repository, twice, credit)
    head = await repository.log.read_head()
    with pytest.raises(PaymentRequired):
        await start(repository, graph_id)
    assert await repository.log.read_head() == head


async def test_what_cannot_be_found_is_not_started(repository: Repository) -> None:
    graph_id = await saved(repository, echo())
    await credit_support.grant(repository, EVE, amount=1, reason="test")
    head = await repository.log.read_head()
    with pytest.raises(NotFound, match="Graph unknown not found"):
        await start(repository, "unknown")
    with pytest.raises(NotFound, match=f"Graph {graph_id} not found"):
        await start(repository, graph_id, EVE)
    with pytest.raises(NotFound, match="has no version 2"):
        await start(repository, graph_id, graph_version=2)
    assert await repository.log.read_head() == head


async def test_a_graph_with_a_lost_block_is_not_started(repository: Repository) -> None:
    graph_id = await saved(repository, echo())
    fewer = {block_id: c for block_id, c in CONTRACTS.items() if block_id != AgentInput.id}
    with pytest.raises(GraphInvalid, match=f"Block {AgentInput.id} is no longer available"):
        await start(repository, graph_id, contracts=fewer)


async def test_a_version_runs_by_the_contracts_that_it_was_saved_with(
    repository: Repository,
) -> None:
    """A block that asks for more since then asks it of later versions."""
    graph_id = await saved(repository, echo())
    contract = CONTRACTS[AgentInput.id]
    stricter = msgspec.structs.replace(contract, required=("name", "title"))
    done = await start(repository, graph_id, contracts={**CONTRACTS, AgentInput.id: stricter})
    assert done.answer.graph_version == 1


async def test_the_active_version_runs_unless_another_is_named(repository: Repository) -> None:
    graph_id = await saved(repository, echo())
    for is_active in (True, False):
        await graphs.save_version(
            repository,
            ADA,
            graph_id=graph_id,
            document=echo() | {"is_active": is_active},
            contracts=CONTRACTS,
        )
    started = [
        (await start(repository, graph_id, graph_version=number)).answer.graph_version
        for number in (None, 1, 3)
    ]
    assert started == [2, 1, 3]


# --- budgets -------------------------------------------------------------------------------------
async def test_a_run_may_be_given_less_than_its_graph_could_use(repository: Repository) -> None:
    budget = Budget(steps=7, seconds=0.5, credits=3)
    done = await start(repository, await saved(repository, PAID), budget=budget)
    first = await created(repository, done.answer.run_id)
    assert (first.steps_max, first.seconds_max, first.credits_max) == (7, 0.5, 3)
    assert first.held == 1


async def test_no_more_is_held_than_the_run_may_cost(repository: Repository) -> None:
    done = await start(repository, await saved(repository, PAID), budget=Budget(credits=0))
    assert (await created(repository, done.answer.run_id)).held == 0
    assert (await repository.load(ACCOUNT, "ada")).state.available == 10


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(steps=0), "node executions must be from 1 to 100000"),
        (Budget(steps=run_limits.RUN_STEPS_MAX + 1), "node executions must be from 1 to 100000"),
        (Budget(seconds=0), "seconds must be above 0"),
        (Budget(seconds=float("nan")), "seconds must be above 0"),
        (Budget(seconds=run_limits.RUN_SECONDS_MAX + 1), "at most 31622400"),
        (Budget(credits=-1), "credits must be from 0"),
        (Budget(credits=run_limits.RUN_CREDITS_MAX + 1), "credits must be from 0 to 1000000000"),
    ],
    ids=str,
)
async def test_a_budget_out_of_bounds(repository: Repository, budget: Budget, message: str) -> None:
    graph_id = await saved(repository, echo())
    with pytest.raises(Invalid, match=message):
        await start(repository, graph_id, budget=budget)


async def test_a_graph_with_cycles_has_tighter_bounds(repository: Repository) -> None:
    graph_id = await saved(repository, echo() | {"allow_cycles": True})
    with pytest.raises(Invalid, match="node executions must be from 1 to 10000"):
        await start(repository, graph_id, budget=Budget(steps=run_limits.CYCLIC_RUN_STEPS_MAX + 1))


# --- how the graph is set ------------------------------------------------------------------------
async def test_a_run_asks_as_its_graph_says(repository: Repository) -> None:
    graph_id = await saved(repository, echo())
    await graphs.change_settings(
        repository,
        ADA,
        graph_id=graph_id,
        human_in_the_loop_safe_mode=False,
        sensitive_action_safe_mode=True,
    )
    done = await start(repository, graph_id)
    first = await created(repository, done.answer.run_id)
    assert (first.asks, first.asks_sensitive) == (False, True)


async def test_nodes_that_may_lack_their_credentials_are_skipped(repository: Repository) -> None:
    contract = CONTRACTS[SendWebRequest.id]
    with_key = msgspec.structs.replace(
        contract, inputs={**contract.inputs, "key": {"type": "object"}}, credentials=("key",)
    )
    contracts = {**CONTRACTS, SendWebRequest.id: with_key}
    document = graph(*PAID["nodes"]) | {"links": PAID["links"]}
    document["nodes"][1] |= {"metadata": {"credentials_optional": True}}
    await credit_support.grant(repository, ADA, amount=1, reason="test")
    done = await graphs.create(repository, ADA, document=document, source=None, contracts=contracts)
    assert done.answer.graph.id is not None
    accepted = await start(repository, done.answer.graph.id, contracts=contracts)
    first = await created(repository, accepted.answer.run_id)
    assert first.skipped == (done.answer.graph.nodes[1].id,)


# --- inputs --------------------------------------------------------------------------------------
async def test_large_inputs_are_stored_apart(repository: Repository) -> None:
    large = ["x" * value_limits.VALUE_INLINE_BYTES_MAX]
    done = await start(repository, await saved(repository, echo()), inputs={"x": large, "small": 1})
    assert done.answer.inputs == {"x": large, "small": 1}
    first = await created(repository, done.answer.run_id)
    assert (first.inputs, list(first.large)) == ({"x": None, "small": 1}, ["x"])
    stored = await repository.log.values.get("ada", list(first.large.values()))
    assert msgspec.json.decode(stored[first.large["x"]]) == large
    run = await folded(repository, done.answer.run_id)
    assert run.executions[0].data["value"] == large


async def test_what_an_event_starts_is_not_started_by_hand(repository: Repository) -> None:
    waiting = graph(
        node("event", GenericWebhookTrigger), agent_output("y"), links="event.payload > y.value"
    )
    graph_id = await saved(repository, waiting)
    with pytest.raises(GraphInvalid, match="1 issues on 1 nodes") as refused:
        await start(repository, graph_id)
    assert list(refused.value.node_errors.values()) == [{"payload": NOT_BY_HAND}]
