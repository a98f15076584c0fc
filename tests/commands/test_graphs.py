from __future__ import annotations

import asyncio

import msgspec
import pytest

from blocks.catalogue import CONTRACTS
from blocks.data import AddToList
from blocks.io import AgentInput
from commands import graphs
from domain.errors import GraphInvalid, Invalid, NotFound, QuotaExceeded
from domain.graphs.graph import GRAPH, GraphSettings, VersionSaved
from domain.storage import STORAGE, Quota, Storage
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Done, Repository
from tests.support.graphs import Document, echo, graph, items, node
from tests.support.log import whole_stream

ADA, EVE = CommandContext(owner="ada", actor="ada"), CommandContext(owner="eve", actor="eve")
LOOP = graph(
    items("start", []),
    node("add", AddToList),
    links="""
        start.item > add.list
        add.updated_list > add.list
    """,
)


async def create(
    repository: Repository, document: Document | None = None, source: str | None = None
) -> Done[VersionSaved]:
    return await graphs.create(
        repository, ADA, document=document or echo(), source=source, contracts=CONTRACTS
    )


async def save(
    repository: Repository, graph_id: str, document: Document, context: CommandContext = ADA
) -> Done[VersionSaved]:
    return await graphs.save_version(
        repository, context, graph_id=graph_id, document=document, contracts=CONTRACTS
    )


async def test_a_graph_is_one_event_of_its_stream(repository: Repository) -> None:
    done = await create(repository)
    assert done.position == 2
    assert done.answer.graph.id is not None
    (entry,) = await whole_stream(repository.log, f"graph-{done.answer.graph.id}")
    assert entry.event == done.answer
    assert (done.answer.version, done.answer.user_id) == (1, "ada")
    assert AgentInput.id in done.answer.contracts
    assert [link.is_static for link in done.answer.graph.links] == [True]


async def test_versions_have_nodes_of_their_own(repository: Repository) -> None:
    first = (await create(repository)).answer
    assert first.graph.id is not None
    second = (await save(repository, first.graph.id, echo())).answer
    assert (second.version, second.graph.id) == (2, first.graph.id)
    assert not {n.id for n in first.graph.nodes} & {n.id for n in second.graph.nodes}


async def test_a_graph_is_its_owners(repository: Repository) -> None:
    graph_id = (await create(repository)).answer.graph.id
    assert graph_id is not None
    assert (await repository.load_owned(GRAPH, graph_id, "ada")).state.user_id == "ada"
    with pytest.raises(NotFound) as foreign:
        await repository.load_owned(GRAPH, graph_id, "eve")
    with pytest.raises(NotFound) as unknown:
        await repository.load_owned(GRAPH, "unknown", "ada")
    assert foreign.value.message.replace(graph_id, "unknown") == unknown.value.message
    with pytest.raises(NotFound):
        await save(repository, graph_id, echo(), EVE)
    assert await repository.log.read_head() == 2


async def test_a_refused_graph_leaves_nothing(repository: Repository) -> None:
    with pytest.raises(GraphInvalid):
        await create(repository, LOOP)
    with pytest.raises(Invalid):
        await create(repository, {"name": 5})
    graph_id = (await create(repository)).answer.graph.id
    assert graph_id is not None
    with pytest.raises(Invalid, match="Graph ID does not match ID in URI"):
        await save(repository, graph_id, echo() | {"id": "other"})
    with pytest.raises(GraphInvalid):
        await save(repository, graph_id, LOOP)
    assert await repository.log.read_head() == 2


async def test_an_uploaded_graph_may_have_cycles_and_stays_editable(repository: Repository) -> None:
    first = (await create(repository, LOOP, "upload")).answer
    assert first.graph.id is not None
    second = (await save(repository, first.graph.id, LOOP)).answer
    assert first.graph.allow_cycles
    assert second.graph.allow_cycles
    without = (await save(repository, first.graph.id, echo())).answer
    assert (await save(repository, first.graph.id, LOOP)).answer.version == without.version + 1


async def test_a_crowd_saves_one_version_after_the_other(repository: Repository) -> None:
    graph_id = (await create(repository)).answer.graph.id
    assert graph_id is not None
    crowd = (save(repository, graph_id, echo() | {"name": str(n)}) for n in range(20))
    saved = [done.answer for done in await asyncio.gather(*crowd)]
    assert sorted(version.version for version in saved) == list(range(2, 22))
    kept = (await repository.load_owned(GRAPH, graph_id, "ada")).state
    assert {v.version: v.graph.name for v in saved} == {
        number: version.name for number, version in kept.versions.items() if number > 1
    }


async def test_a_version_stays_checked_by_the_contracts_of_its_day(repository: Repository) -> None:
    """A block that lost its pin since then does not change what was saved."""
    graph_id = (await create(repository)).answer.graph.id
    assert graph_id is not None
    contract = CONTRACTS[AgentInput.id]
    poorer = {**CONTRACTS, AgentInput.id: msgspec.structs.replace(contract, outputs={})}
    with pytest.raises(GraphInvalid, match="has no output 'result'"):
        await graphs.save_version(
            repository, ADA, graph_id=graph_id, document=echo(), contracts=poorer
        )
    kept = await PlanCache(repository).load(graph_id, 1)
    assert kept.contracts[AgentInput.id] == contract


async def test_settings_are_changed_one_by_one(repository: Repository) -> None:
    graph_id = (await create(repository)).answer.graph.id
    assert graph_id is not None
    first = await graphs.change_settings(
        repository, ADA, graph_id=graph_id, sensitive_action_safe_mode=True
    )
    assert first.answer == GraphSettings(sensitive_action_safe_mode=True)
    second = await graphs.change_settings(
        repository, ADA, graph_id=graph_id, human_in_the_loop_safe_mode=False
    )
    both = GraphSettings(human_in_the_loop_safe_mode=False, sensitive_action_safe_mode=True)
    assert second.answer == both
    again = await graphs.change_settings(repository, ADA, graph_id=graph_id)
    assert (again.answer, again.position) == (both, None)
    assert (await repository.load_owned(GRAPH, graph_id, "ada")).state.settings == both


async def test_settings_are_the_owners(repository: Repository) -> None:
    graph_id = (await create(repository)).answer.graph.id
    assert graph_id is not None
    with pytest.raises(NotFound):
        await graphs.change_settings(
            repository, EVE, graph_id=graph_id, sensitive_action_safe_mode=True
        )


async def stored(repository: Repository) -> Storage:
    return (await repository.load(STORAGE, "ada")).state


async def test_what_is_stored_counts_with_what_stores_it(repository: Repository) -> None:
    graph_id = (await create(repository)).answer.graph.id
    assert graph_id is not None
    await save(repository, graph_id, echo())
    sizes = [entry.bytes for entry in await whole_stream(repository.log, f"graph-{graph_id}")]
    assert len(sizes) == 2
    assert await stored(repository) == Storage(graphs=1, bytes=sum(sizes))


async def test_a_crowd_gets_no_further_than_one_alone(repository: Repository) -> None:
    """On two hosts too: the streams know nothing of each other's caches."""
    others = Repository(repository.log)
    quota = Quota(graphs=5)
    crowd = (
        graphs.create(one, ADA, document=echo(), source=None, contracts=CONTRACTS, quota=quota)
        for one in (repository, others) * 16
    )
    outcomes = await asyncio.gather(*crowd, return_exceptions=True)
    assert sum(isinstance(one, QuotaExceeded) for one in outcomes) == 27
    assert (await stored(repository)).graphs == 5


async def test_a_refused_graph_costs_nothing(repository: Repository) -> None:
    graph_id = (await create(repository)).answer.graph.id
    assert graph_id is not None
    full = await stored(repository)
    for quota in (Quota(bytes=full.bytes), Quota(versions=1)):
        with pytest.raises(QuotaExceeded):
            await graphs.save_version(
                repository,
                ADA,
                graph_id=graph_id,
                document=echo(),
                contracts=CONTRACTS,
                quota=quota,
            )
    assert await stored(repository) == full
