from __future__ import annotations

import asyncio

import msgspec
import pytest

from blocks.catalogue import CONTRACTS
from blocks.data import AddToList
from blocks.io import AgentInput
from commands import graphs, storage
from commands.context import Context
from commands.plans import Plans
from commands.streams import Done, Streams
from domain.errors import GraphInvalid, Invalid, NotFound, QuotaExceeded
from domain.graphs import Settings, VersionSaved
from domain.storage import Quota, Storage
from tests.support.graphs import Document, echo, graph, items, node
from tests.support.log import whole_stream

ADA, EVE = Context(owner="ada", actor="ada"), Context(owner="eve", actor="eve")
LOOP = graph(
    items("start", []),
    node("add", AddToList),
    links="""
        start.item > add.list
        add.updated_list > add.list
    """,
)


async def create(
    streams: Streams, document: Document | None = None, source: str | None = None
) -> Done[VersionSaved]:
    return await graphs.create(
        streams, ADA, document=document or echo(), source=source, contracts=CONTRACTS
    )


async def save(
    streams: Streams, graph_id: str, document: Document, context: Context = ADA
) -> Done[VersionSaved]:
    return await graphs.save_version(
        streams, context, graph_id=graph_id, document=document, contracts=CONTRACTS
    )


async def test_a_graph_is_one_event_of_its_stream(streams: Streams) -> None:
    done = await create(streams)
    assert done.position == 2
    assert done.answer.graph.id is not None
    (entry,) = await whole_stream(streams.log, f"graph-{done.answer.graph.id}")
    assert entry.event == done.answer
    assert (done.answer.version, done.answer.user_id) == (1, "ada")
    assert AgentInput.id in done.answer.contracts
    assert [link.is_static for link in done.answer.graph.links] == [True]


async def test_versions_have_nodes_of_their_own(streams: Streams) -> None:
    first = (await create(streams)).answer
    assert first.graph.id is not None
    second = (await save(streams, first.graph.id, echo())).answer
    assert (second.version, second.graph.id) == (2, first.graph.id)
    assert not {n.id for n in first.graph.nodes} & {n.id for n in second.graph.nodes}


async def test_a_graph_is_its_owners(streams: Streams) -> None:
    graph_id = (await create(streams)).answer.graph.id
    assert graph_id is not None
    assert (await graphs.load(streams, graph_id, "ada")).state.user_id == "ada"
    with pytest.raises(NotFound) as foreign:
        await graphs.load(streams, graph_id, "eve")
    with pytest.raises(NotFound) as unknown:
        await graphs.load(streams, "unknown", "ada")
    assert foreign.value.message.replace(graph_id, "unknown") == unknown.value.message
    with pytest.raises(NotFound):
        await save(streams, graph_id, echo(), EVE)
    assert await streams.log.read_head() == 2


async def test_a_refused_graph_leaves_nothing(streams: Streams) -> None:
    with pytest.raises(GraphInvalid):
        await create(streams, LOOP)
    with pytest.raises(Invalid):
        await create(streams, {"name": 5})
    graph_id = (await create(streams)).answer.graph.id
    assert graph_id is not None
    with pytest.raises(Invalid, match="Graph ID does not match ID in URI"):
        await save(streams, graph_id, echo() | {"id": "other"})
    with pytest.raises(GraphInvalid):
        await save(streams, graph_id, LOOP)
    assert await streams.log.read_head() == 2


async def test_an_uploaded_graph_may_have_cycles_and_stays_editable(streams: Streams) -> None:
    first = (await create(streams, LOOP, "upload")).answer
    assert first.graph.id is not None
    second = (await save(streams, first.graph.id, LOOP)).answer
    assert first.graph.allow_cycles
    assert second.graph.allow_cycles
    without = (await save(streams, first.graph.id, echo())).answer
    assert (await save(streams, first.graph.id, LOOP)).answer.version == without.version + 1


async def test_a_crowd_saves_one_version_after_the_other(streams: Streams) -> None:
    graph_id = (await create(streams)).answer.graph.id
    assert graph_id is not None
    crowd = (save(streams, graph_id, echo() | {"name": str(n)}) for n in range(20))
    saved = [done.answer for done in await asyncio.gather(*crowd)]
    assert sorted(version.version for version in saved) == list(range(2, 22))
    kept = (await graphs.load(streams, graph_id, "ada")).state
    assert {v.version: v.graph.name for v in saved} == {
        number: version.name for number, version in kept.versions.items() if number > 1
    }


async def test_a_version_stays_checked_by_the_contracts_of_its_day(streams: Streams) -> None:
    """A block that lost its pin since then does not change what was saved."""
    graph_id = (await create(streams)).answer.graph.id
    assert graph_id is not None
    contract = CONTRACTS[AgentInput.id]
    poorer = {**CONTRACTS, AgentInput.id: msgspec.structs.replace(contract, outputs={})}
    with pytest.raises(GraphInvalid, match="has no output 'result'"):
        await graphs.save_version(
            streams, ADA, graph_id=graph_id, document=echo(), contracts=poorer
        )
    kept = await Plans().load(streams, graph_id, 1)
    assert kept.contracts[AgentInput.id] == contract


async def test_settings_are_changed_one_by_one(streams: Streams) -> None:
    graph_id = (await create(streams)).answer.graph.id
    assert graph_id is not None
    first = await graphs.change_settings(
        streams, ADA, graph_id=graph_id, sensitive_action_safe_mode=True
    )
    assert first.answer == Settings(sensitive_action_safe_mode=True)
    second = await graphs.change_settings(
        streams, ADA, graph_id=graph_id, human_in_the_loop_safe_mode=False
    )
    both = Settings(human_in_the_loop_safe_mode=False, sensitive_action_safe_mode=True)
    assert second.answer == both
    again = await graphs.change_settings(streams, ADA, graph_id=graph_id)
    assert (again.answer, again.position) == (both, None)
    assert (await graphs.load(streams, graph_id, "ada")).state.settings == both


async def test_settings_are_the_owners(streams: Streams) -> None:
    graph_id = (await create(streams)).answer.graph.id
    assert graph_id is not None
    with pytest.raises(NotFound):
        await graphs.change_settings(
            streams, EVE, graph_id=graph_id, sensitive_action_safe_mode=True
        )


async def stored(streams: Streams) -> Storage:
    return (await storage.load(streams, "ada")).state


async def test_what_is_stored_counts_with_what_stores_it(streams: Streams) -> None:
    graph_id = (await create(streams)).answer.graph.id
    assert graph_id is not None
    await save(streams, graph_id, echo())
    sizes = [entry.bytes for entry in await whole_stream(streams.log, f"graph-{graph_id}")]
    assert len(sizes) == 2
    assert await stored(streams) == Storage(graphs=1, bytes=sum(sizes))


async def test_a_crowd_gets_no_further_than_one_alone(streams: Streams) -> None:
    """On two hosts too: the streams know nothing of each other's caches."""
    others = Streams(streams.log)
    quota = Quota(graphs=5)
    crowd = (
        graphs.create(one, ADA, document=echo(), source=None, contracts=CONTRACTS, quota=quota)
        for one in (streams, others) * 16
    )
    outcomes = await asyncio.gather(*crowd, return_exceptions=True)
    assert sum(isinstance(one, QuotaExceeded) for one in outcomes) == 27
    assert (await stored(streams)).graphs == 5


async def test_a_refused_graph_costs_nothing(streams: Streams) -> None:
    graph_id = (await create(streams)).answer.graph.id
    assert graph_id is not None
    full = await stored(streams)
    for quota in (Quota(bytes=full.bytes), Quota(versions=1)):
        with pytest.raises(QuotaExceeded):
            await graphs.save_version(
                streams,
                ADA,
                graph_id=graph_id,
                document=echo(),
                contracts=CONTRACTS,
                quota=quota,
            )
    assert await stored(streams) == full
