"""Appends of a run whose answers are lost: written or not, at once or late, nothing is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from blocks.data import AddToList, StoreValue
from blocks.io import AgentInput
from domain.engine import snapshots
from domain.engine.run import Run
from domain.limits import log_limits, memory_limits, run_limits, worker_limits
from domain.runs import (
    NodeCompleted,
    NodeStarted,
    Output,
    RunClaimed,
    RunPaused,
    RunStats,
    RunStopRequested,
    RunSuspended,
    stream_of,
)
from runtime import ids
from runtime.aggregates.keyed_lock import KeyedLock
from runtime.aggregates.repository import Repository
from runtime.aggregates.run_repository import RunRepository
from runtime.egress import Egress
from runtime.eventlog.append import Appended
from runtime.eventlog.errors import OutcomeUnknown
from runtime.eventlog.log import EventLog, Origin, StreamWrite
from runtime.eventlog.mapper import to_encoded
from tests.commands.runs.driving import saved, start
from tests.support.graphs import Document, graph, items, node
from tests.support.log import whole_stream
from workers.executor.dependencies import Dependencies
from workers.executor.renderers import Renderers
from workers.executor.run_writer import Result, RunLost, RunWriter
from workers.executor.write_rates import WriteRates

DONE = NodeCompleted(execution=0, node="a", outputs=[], elapsed_us=1)
OTHER = Origin(owner="ada", actor="test")

Answer = Callable[[Callable[[], Awaitable[Appended]]], Awaitable[Appended]]


async def test_what_was_written_without_an_answer_is_not_written_again(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, writer = await claimed(event_log)

    async def written(append: Callable[[], Awaitable[Appended]]) -> Appended:
        await append()
        raise OutcomeUnknown

    answers(monkeypatch, event_log, written)
    writer.record(DONE)
    await writer.flush()
    assert await names(event_log, run) == ["RunCreated", "RunClaimed", "NodeCompleted"]
    assert writer.durable == run.version == 3


async def test_what_is_written_late_is_ours_all_the_same(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped server process commits when it goes on, after the next try has begun."""
    run, writer = await claimed(event_log)
    late: list[Callable[[], Awaitable[Appended]]] = []

    async def silent(append: Callable[[], Awaitable[Appended]]) -> Appended:
        late.append(append)
        raise OutcomeUnknown

    async def overtaken(append: Callable[[], Awaitable[Appended]]) -> Appended:
        await late.pop()()
        return await append()

    answers(monkeypatch, event_log, silent, overtaken)
    writer.record(DONE)
    await writer.flush()
    assert await names(event_log, run) == ["RunCreated", "RunClaimed", "NodeCompleted"]
    assert writer.durable == run.version == 3


async def test_what_was_not_written_is_written_behind_what_came_from_outside(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, writer = await claimed(event_log)

    async def refused(_append: Callable[[], Awaitable[Appended]]) -> Appended:
        await event_log.append([StreamWrite.of(stream_of(run.run_id), 2, [RunPaused()])], OTHER)
        raise OutcomeUnknown

    answers(monkeypatch, event_log, refused)
    writer.record(DONE)
    await writer.flush()
    expected = ["RunCreated", "RunClaimed", "RunPaused", "NodeCompleted"]
    assert await names(event_log, run) == expected
    assert run.is_paused
    assert writer.durable == run.version == 4


async def test_no_rest_is_written_behind_what_came_while_other_things_were(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_limits, "RUN_FLUSH_EVENTS", 1)
    run, writer = await claimed(event_log)
    await event_log.append([StreamWrite.of(stream_of(run.run_id), 2, [RunStopRequested()])], OTHER)
    writer.record(DONE)
    assert not await writer.suspend(RunSuspended(RunStats()))
    expected = ["RunCreated", "RunClaimed", "RunStopRequested", "NodeCompleted"]
    assert await names(event_log, run) == expected


async def test_intents_that_do_not_fit_in_with_the_results_are_written_behind_them(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = (node(name, AgentInput, name=name, value=1) for name in "abc")
    run = await created(event_log, *inputs)
    writer = RunWriter(run, dependencies(event_log))
    writer.claim()
    await writer.flush()
    outputs = [("x", "y" * 1_000)]
    done = [NodeCompleted(number, "a", outputs, elapsed_us=1) for number in (0, 1)]
    size = sum(len(to_encoded(one).state) + 4 for one in done)
    monkeypatch.setattr(log_limits, "APPEND_BYTES_MAX", size)
    for one in done:
        writer.record(one)
        await writer.routed()
    assert await writer.flush([NodeStarted(2, "c", attempt=1, repeats=False)])
    expected = ["RunCreated", "RunClaimed", "NodeCompleted", "NodeCompleted", "NodeStarted"]
    assert await names(event_log, run) == expected
    assert writer.durable == run.version == 5


async def test_results_that_fill_an_append_to_the_last_byte_are_written(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await created(event_log, *(node(name, AgentInput, name=name, value=1) for name in "abc"))
    writer = RunWriter(run, dependencies(event_log))
    writer.claim()
    await writer.flush()
    done = [NodeCompleted(number, "a", [("x", "y" * 1_000)], elapsed_us=1) for number in range(3)]
    size = sum(len(to_encoded(one).state) for one in done)
    monkeypatch.setattr(log_limits, "APPEND_BYTES_MAX", size)
    for one in done:
        writer.record(one)
        await writer.routed()
    await writer.flush()
    assert await names(event_log, run) == ["RunCreated", "RunClaimed", *["NodeCompleted"] * 3]


async def test_a_run_that_another_has_claimed_meanwhile_is_lost(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, writer = await claimed(event_log)

    async def taken(_append: Callable[[], Awaitable[Appended]]) -> Appended:
        claim = StreamWrite.of(stream_of(run.run_id), 2, [RunClaimed("other")])
        await event_log.append([claim], OTHER)
        raise OutcomeUnknown

    answers(monkeypatch, event_log, taken)
    writer.record(DONE)
    with pytest.raises(RunLost):
        await writer.flush()
    assert await names(event_log, run) == ["RunCreated", "RunClaimed", "RunClaimed"]


async def test_a_run_that_the_log_does_not_know_is_lost(event_log: EventLog) -> None:
    """Nothing is written for it, and no snapshot of it stays that would bring it back."""
    run = await created(event_log)
    run.run_id = str(ids.new_id())
    stream = stream_of(run.run_id)
    await event_log.snapshots.save(stream, run.version, snapshots.FORMAT, snapshots.freeze(run))
    writer = RunWriter(run, dependencies(event_log))
    writer.claim()
    with pytest.raises(RunLost):
        await writer.flush()
    assert await whole_stream(event_log, stream) == []
    assert await event_log.snapshots.load(stream, snapshots.FORMAT) is None


async def test_a_run_that_holds_too_much_is_over_its_budget(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limits, "RUN_BYTES_MAX", 3_000_000)
    monkeypatch.setattr(memory_limits, "RUN_WEIGHED_BYTES_MIN", 300_000)
    nodes = (items("a", *range(9)), node("b", StoreValue), items("never"), node("c", AddToList))
    links = "a.item > b.input\nb.output > c.list\nnever.item > c.entry"
    run = await created(event_log, *nodes, links=links)
    writer = RunWriter(run, dependencies(event_log))
    writer.claim()
    await completes(writer, 0, "a", *(("item", number) for number in range(9)))
    held = 0
    while run.over_budget is None:
        await completes(writer, 2 + held, "b", ("output", [[]] * 10_000))
        held += 1
    # Each takes 640 kB in memory, of a bound of 3 MB.
    assert 4 <= held <= 6
    assert run.over_budget == "The values that the run holds take more than 2 MB of memory"
    await completes(writer, 2 + held, "b", ("output", 1))
    assert run.waiting == held
    # It has lost that delivery, so it is not weighed again, however light it becomes.
    monkeypatch.setattr(memory_limits, "RUN_WEIGHED_BYTES_MIN", 0)
    for execution in run.executions.values():
        execution.given.clear()
    writer.record(RunPaused())
    await writer.routed()
    run.made += 10_000_000
    await writer.routed()
    assert run.over_budget is not None


async def test_what_was_made_of_values_weighs_too(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limits, "RUN_BYTES_MAX", 3_000_000)
    monkeypatch.setattr(memory_limits, "RUN_WEIGHED_BYTES_MIN", 300_000)
    sinks = [node(f"c{number}", AddToList) for number in range(20)]
    links = "\n".join(f"b.output > c{number}.list" for number in range(20))
    run = await created(event_log, node("b", StoreValue, input=1), *sinks, links=links)
    writer = RunWriter(run, dependencies(event_log))
    writer.claim()
    monkeypatch.setattr(run_limits, "ROUTE_PORTION", 1)
    await completes(writer, 0, "b", ("output", f"[{','.join(['[]'] * 10_000)}]"))
    assert run.over_budget is not None
    assert 4 <= len(run.ready) <= 7


async def test_a_run_that_weighs_much_is_not_encoded_for_a_snapshot(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_limits, "SNAPSHOT_EVENTS", 2)
    monkeypatch.setattr(memory_limits, "SNAPSHOT_WEIGHT_MAX", 100)
    encoded: list[Run] = []
    monkeypatch.setattr(snapshots, "freeze", encoded.append)
    await claimed(event_log)
    assert encoded == []


async def completes(writer: RunWriter, number: int, name: str, *outputs: Output) -> None:
    node_id = writer.run.executions[number].node.node.node_id
    event = NodeCompleted(number, node_id, list(outputs), elapsed_us=1)
    writer.record_result(Result(to_encoded(event)))
    await writer.routed()


async def claimed(event_log: EventLog) -> tuple[Run, RunWriter]:
    """A run of one node, in hand."""
    run = await created(event_log)
    writer = RunWriter(run, dependencies(event_log))
    writer.claim()
    await writer.flush()
    return run, writer


async def created(event_log: EventLog, *nodes: Document, links: str = "") -> Run:
    """A run of one node, or of these, that nobody has in hand."""
    repository = Repository(event_log)
    one = node("a", AgentInput, name="x", value=1)
    document = graph(*(nodes or [one]), links=links)
    graph_id = await saved(repository, document)
    done = await start(repository, graph_id)
    run = await RunRepository(repository).load(done.answer.run_id)
    assert run is not None
    return run


def dependencies(event_log: EventLog) -> Dependencies:
    repository = Repository(event_log)
    return Dependencies(
        worker="w/1",
        repository=repository,
        runs=RunRepository(repository),
        turns=KeyedLock(),
        paces=WriteRates(worker_limits.BYTES_PER_USER, lambda: 1),
        http=Egress(()),
        templates=Renderers(),
    )


def answers(monkeypatch: pytest.MonkeyPatch, event_log: EventLog, *lost: Answer) -> None:
    """Let the next appends have these answers; those after them go through."""
    append, left = event_log.append, list(lost)

    async def answered(
        writes: Sequence[StreamWrite], origin: Origin, *rest: Any, **more: Any
    ) -> Appended:
        async def through() -> Appended:
            return await append(writes, origin, *rest, **more)

        return await (left.pop(0)(through) if left else through())

    monkeypatch.setattr(event_log, "append", answered)


async def names(event_log: EventLog, run: Run) -> list[str]:
    stream = await whole_stream(event_log, stream_of(run.run_id))
    return [type(entry.event).__name__ for entry in stream]
