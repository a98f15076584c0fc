"""Graph versions in memory: light ones are kept, heavy ones are there while somebody has them."""

from __future__ import annotations

import asyncio

import pytest

from blocks.catalogue import CONTRACTS
from blocks.data import StoreValue
from commands import graphs
from domain.errors import NoRoom, NotFound
from domain.limits import memory_limits
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Repository
from tests.support.graphs import graph, node

ADA = CommandContext(owner="ada", actor="ada")
HEAVY: list[list[object]] = [[]] * (memory_limits.PLAN_LIGHT_BYTES // 150)


async def stored(repository: Repository, value: object) -> str:
    done = await graphs.create(
        repository,
        ADA,
        document=graph(node("kept", StoreValue, input=value)),
        source=None,
        contracts=CONTRACTS,
    )
    assert done.answer.graph.id is not None
    return done.answer.graph.id


async def test_a_light_one_is_read_once(repository: Repository) -> None:
    plans, graph_id = PlanCache(repository), await stored(repository, 1)
    number = id(await plans.load(graph_id, 1))
    await stored(repository, 2)
    assert id(await plans.load(graph_id, 1)) == number


async def test_a_heavy_one_is_there_once_for_all_who_have_it_and_then_gone(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limits, "PLANS_HEAVY_BYTES_MAX", 1)
    monkeypatch.setattr(memory_limits, "ROOM_SECONDS_MAX", 0.2)
    monkeypatch.setattr(memory_limits, "ROOM_COLLECT_SECONDS", 0.01)
    plans = PlanCache(repository)
    one, other = await stored(repository, HEAVY), await stored(repository, HEAVY)
    held = await asyncio.gather(*(plans.load(one, 1) for _ in range(8)))
    assert len(set(map(id, held))) == 1
    assert held[0].weight > memory_limits.PLAN_LIGHT_BYTES
    crowd = (plans.load(other, 1) for _ in range(8))
    refused = await asyncio.gather(*crowd, return_exceptions=True)
    assert {type(one) for one in refused} == {NoRoom}
    del refused
    nodes = held[0].nodes
    del held
    with pytest.raises(NoRoom):
        await plans.load(other, 1)
    del nodes
    assert (await plans.load(other, 1)).graph.id == other


async def test_what_does_not_exist_is_not_found(repository: Repository) -> None:
    graph_id = await stored(repository, 1)
    with pytest.raises(NotFound):
        await PlanCache(repository).load(graph_id, 2)
    with pytest.raises(NotFound):
        await PlanCache(repository).load("unknown", 1)
