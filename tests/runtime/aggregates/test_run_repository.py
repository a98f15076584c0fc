"""Runs that are loaded have in memory what they hold, and of the rest of their values a few."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import pytest

from blocks.catalogue import CONTRACTS
from blocks.data import AddToList, StoreValue
from blocks.logic import StepThroughItems
from commands.runs import forks
from domain import large_values
from domain.engine.evolve import evolve
from domain.engine.run import Run
from domain.large_values import Large
from domain.limits import value_limits
from domain.runs import NodeCompleted, stream_of
from runtime.aggregates.repository import Repository
from runtime.aggregates.run_repository import RunRepository, Scope
from runtime.eventlog.log import Origin, StreamWrite
from runtime.eventlog.values import ValueStore
from tests.commands.runs.driving import ADA, Worker, saved, start
from tests.projections.lived import Life, graph_of
from tests.support.graphs import agent_output, graph, items, node

LARGE_BYTES = 100_000
COUNT = 12

KEEPING = graph(
    items("some", *range(COUNT)),
    node("kept", StoreValue),
    node("other", AddToList, list=["x"]),
    agent_output("y"),
    links="""
        some.item > kept.input
        kept.output > y.value
        kept.output > other.entry
    """,
)


def large(number: int) -> str:
    return f"{number:04}" * (LARGE_BYTES // 4)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many values were read at once, each time."""
    counts: list[int] = []
    get = ValueStore.get

    async def counted(self: ValueStore, owner: str, hashes: Collection[str]) -> dict[str, bytes]:
        if hashes:
            counts.append(len(hashes))
        return await get(self, owner, hashes)

    monkeypatch.setattr(ValueStore, "get", counted)
    return counts


async def with_large_values(repository: Repository) -> Worker:
    """A run of which each step has yielded a large value, and nothing took it up."""
    graph_id = await saved(repository, KEEPING)
    done = await start(repository, graph_id, inputs={})
    worker = await Worker.of(repository, done.answer.run_id)
    await worker.claims()
    await worker.completes(StepThroughItems, *(("item", number) for number in range(COUNT)))
    for number in range(COUNT):
        await yields_large(worker, large(number))
    return worker


async def yields_large(worker: Worker, value: str) -> None:
    execution = worker.at_hand(StoreValue)
    hashes, values = large_values.take_out([(0, value)])
    await worker.repository.log.values.put(ADA.owner, list(values.values()))
    node_id = execution.node.node.node_id
    lean = NodeCompleted(execution.number, node_id, [("output", None)], elapsed_us=1, large=hashes)
    write = StreamWrite.of(stream_of(worker.run_id), worker.run.version, [lean])
    await worker.repository.log.append([write], Origin(ADA.owner, "worker:test"))
    evolve(worker.run, large_values.put_back(lean, {hashes[0]: value}))


def numbers(run: Run) -> dict[str, Any]:
    """What a command may decide by."""
    return {
        "ready": list(run.ready),
        "open": list(run.open),
        "failed": run.failed,
        "statuses": {number: one.status for number, one in run.executions.items()},
        "pins": {number: set(one.given) for number, one in run.executions.items()},
        "counts": (run.count, run.steps, run.errors, run.cost, run.version),
    }


async def test_large_values_are_read_in_the_order_of_events_and_few_at_a_time(
    repository: Repository, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await with_large_values(repository)
    monkeypatch.setattr(value_limits, "VALUE_STATEMENT_BYTES", 2 * LARGE_BYTES)
    reads.clear()
    run = await RunRepository(repository).load(worker.run_id)
    assert run is not None
    assert reads == [2] * (COUNT // 2)
    found = [e.data["value"] for e in run.ready.values() if e.node.node.is_output]
    assert found == [large(number) for number in range(COUNT)]


async def test_who_only_looks_at_a_run_reads_nothing_that_it_need_not_know(
    repository: Repository, reads: list[int]
) -> None:
    worker = await with_large_values(repository)
    reads.clear()
    run = await RunRepository(repository).load(worker.run_id, Scope(whole=False))
    assert run is not None
    assert reads == []
    found = [e.data["value"] for e in run.ready.values() if e.node.node.is_output]
    assert [type(value) for value in found] == [Large] * COUNT


@pytest.mark.parametrize("seed", range(4))
async def test_it_looks_the_same_at_every_version(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(value_limits, "VALUE_INLINE_BYTES_MAX", 30)
    monkeypatch.setattr(value_limits, "VALUE_STATEMENT_BYTES", 100)
    life = Life(repository, await graph_of(repository), seed)
    await life.begin()
    await life.go_on(40)
    versions = await repository.log.versions_of([stream_of(life.run_id)])
    run_repository = RunRepository(repository)
    for version in range(1, versions[stream_of(life.run_id)] + 1):
        whole = await run_repository.load(life.run_id, Scope(version))
        light = await run_repository.load(life.run_id, Scope(version, whole=False))
        assert whole is not None
        assert light is not None
        assert numbers(light) == numbers(whole)


async def test_a_fork_reads_what_it_lays_something_over(
    repository: Repository, reads: list[int]
) -> None:
    worker = await with_large_values(repository)
    run_repository = RunRepository(repository)
    turns: list[str] = []

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        assert reads == []
        turns.append("begun")
        yield
        turns.append("ended")

    outputs = [e for e in worker.run.ready.values() if e.node.node.is_output]
    reads.clear()
    done = await forks.fork(
        repository,
        ADA,
        run_repository,
        run_id=worker.run_id,
        graph_id=worker.run.created.graph_id if worker.run.created else "",
        execution=outputs[3].number,
        version=None,
        inputs={"format": "over"},
        contracts=CONTRACTS,
        turn=turn,
    )
    assert turns == ["begun", "ended"]
    assert reads == [1]
    run = await run_repository.load(done.answer.run_id)
    assert run is not None
    forked = run.executions[outputs[3].number]
    assert forked.data == {"name": "y", "value": large(3), "format": "over"}
    light = await run_repository.load(done.answer.run_id, Scope(whole=False))
    assert light is not None
    assert light.executions[outputs[3].number].data == forked.data
