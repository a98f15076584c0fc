from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from blocks.catalogue import CONTRACTS
from blocks.io import AgentInput
from blocks.web import SendWebRequest
from commands import credits as credit_commands
from commands import graphs, runs
from commands.context import Context
from commands.plans import Plans
from commands.streams import Done, Streams
from domain import limits
from domain.credits import CreditsHeld
from domain.errors import GraphInvalid, NotFound, PaymentRequired
from domain.runs import RunCreated
from tests.support.graphs import Document, agent_output, echo, graph, items, node

ADA = Context(owner="ada", actor="ada")
PAID = graph(
    items("url", "http://localhost/"),
    node("web", SendWebRequest),
    agent_output("y"),
    links="""
        url.item > web.url
        web.response > y.value
    """,
)


async def saved(streams: Streams, document: Document, credit: int = 10) -> str:
    """The id of a graph, whose owner has that much."""
    if credit:
        await credit_commands.grant(streams, ADA, amount=credit, reason="test")
    done = await graphs.create(streams, ADA, document=document, source=None, contracts=CONTRACTS)
    assert done.answer.graph.id is not None
    return done.answer.graph.id


async def start(
    streams: Streams, graph_id: str, context: Context = ADA, **changes: Any
) -> Done[runs.RunAccepted]:
    wanted = {"graph_version": None, "inputs": {}, "contracts": CONTRACTS} | changes
    return await runs.start(streams, context, Plans(), graph_id=graph_id, **wanted)


async def test_a_free_run_is_one_event(streams: Streams) -> None:
    graph_id = await saved(streams, echo())
    done = await start(streams, graph_id, inputs={"x": 1})
    (entry,) = await streams.log.read_stream(f"run-{done.answer.run_id}")
    assert entry.event == RunCreated(
        user_id="ada",
        graph_id=graph_id,
        graph_version=1,
        inputs={"x": 1},
        steps_max=limits.RUN_STEPS_MAX,
    )
    assert done.position == entry.position == await streams.log.read_head()


async def test_a_run_and_its_hold_are_one_append(streams: Streams) -> None:
    done = await start(streams, await saved(streams, PAID))
    (created,) = await streams.log.read_stream(f"run-{done.answer.run_id}")
    held = (await streams.log.read_stream("credits-ada"))[-1]
    assert held.event == CreditsHeld(hold=done.answer.run_id, amount=1)
    assert held.recorded_at == created.recorded_at
    assert isinstance(created.event, RunCreated)
    assert created.event.held == 1
    assert (await credit_commands.load(streams, "ada")).state.available == 9


async def test_everything_of_a_run_is_found_under_its_id(streams: Streams) -> None:
    done = await start(streams, await saved(streams, PAID))
    async with streams.log.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT originator_id FROM log.stored_events WHERE correlation = %s ORDER BY 1",
            (UUID(done.answer.run_id),),
        )
        found = [row[0] for row in await cursor.fetchall()]
    assert found == ["credits-ada", f"run-{done.answer.run_id}"]


async def test_a_run_with_cycles_has_a_smaller_budget(streams: Streams) -> None:
    done = await start(streams, await saved(streams, echo() | {"allow_cycles": True}))
    (entry,) = await streams.log.read_stream(f"run-{done.answer.run_id}")
    assert isinstance(entry.event, RunCreated)
    assert entry.event.steps_max == limits.CYCLIC_RUN_STEPS_MAX


@pytest.mark.parametrize("credit", [0, 1])
async def test_who_cannot_pay_starts_nothing(streams: Streams, credit: int) -> None:
    twice = graph(*PAID["nodes"], node("more", SendWebRequest), links="url.item > more.url")
    twice["links"] += PAID["links"]
    graph_id = await saved(streams, twice, credit)
    head = await streams.log.read_head()
    with pytest.raises(PaymentRequired):
        await start(streams, graph_id)
    assert await streams.log.read_head() == head


async def test_what_cannot_be_found_is_not_started(streams: Streams) -> None:
    graph_id = await saved(streams, echo())
    eve = Context(owner="eve", actor="eve")
    await credit_commands.grant(streams, eve, amount=1, reason="test")
    head = await streams.log.read_head()
    with pytest.raises(NotFound, match="Graph unknown not found"):
        await start(streams, "unknown")
    with pytest.raises(NotFound, match=f"Graph {graph_id} not found"):
        await start(streams, graph_id, eve)
    with pytest.raises(NotFound, match="has no version 2"):
        await start(streams, graph_id, graph_version=2)
    assert await streams.log.read_head() == head


async def test_a_graph_with_a_lost_block_is_not_started(streams: Streams) -> None:
    graph_id = await saved(streams, echo())
    fewer = {block_id: c for block_id, c in CONTRACTS.items() if block_id != AgentInput.id}
    with pytest.raises(GraphInvalid, match=f"Block {AgentInput.id} is no longer available"):
        await start(streams, graph_id, contracts=fewer)


async def test_a_version_runs_by_the_contracts_that_it_was_saved_with(streams: Streams) -> None:
    """A block that asks for more since then asks it of later versions."""
    graph_id = await saved(streams, echo())
    contract = CONTRACTS[AgentInput.id]
    stricter = msgspec.structs.replace(contract, required=("name", "title"))
    done = await start(streams, graph_id, contracts={**CONTRACTS, AgentInput.id: stricter})
    assert done.answer.graph_version == 1


async def test_the_active_version_runs_unless_another_is_named(streams: Streams) -> None:
    graph_id = await saved(streams, echo())
    for is_active in (True, False):
        await graphs.save_version(
            streams,
            ADA,
            graph_id=graph_id,
            document=echo() | {"is_active": is_active},
            contracts=CONTRACTS,
        )
    started = [
        (await start(streams, graph_id, graph_version=number)).answer.graph_version
        for number in (None, 1, 3)
    ]
    assert started == [2, 1, 3]
