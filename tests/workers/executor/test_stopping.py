"""Runs that end otherwise than by themselves: stopped while their driver lets go, or too large."""

from __future__ import annotations

import asyncio

import pytest

from blocks.waiting import Wait
from domain.limits import run_limits
from domain.runs import RunStatus, RunStopRequested, stream_of
from runtime.aggregates.repository import Repository
from runtime.aggregates.run_repository import RunRepository
from runtime.eventlog.log import EventLog, StreamWrite
from tests.commands.runs.driving import Worker, agent, saved, start
from tests.support.graphs import agent_output, graph, items, node
from tests.workers.executor.test_run_writer import OTHER, created, dependencies, names
from workers.executor import run_driver
from workers.executor.run_driver import RunDriver
from workers.executor.run_writer import RunWriter

SECONDS_MAX = 10.0


class Overtaken(RunDriver):
    """A stop comes before what it has just begun is written."""

    def __init__(self, writer: RunWriter, event_log: EventLog) -> None:
        super().__init__(writer, dependencies(event_log))
        self._log = event_log
        self.is_stopped = False

    async def _take_ready(self) -> None:
        await super()._take_ready()
        if not self.is_stopped:
            self.is_stopped = True
            stream = stream_of(self._run.run_id)
            stop = StreamWrite.of(stream, self.durable, [RunStopRequested()])
            await self._log.append([stop], OTHER)
            await self._writer.flush()


async def test_a_stop_that_comes_before_a_rest_is_not_slept_through(event_log: EventLog) -> None:
    run = await created(event_log, node("a", Wait, seconds=3_600))
    writer = RunWriter(run, dependencies(event_log))
    writer.claim()

    async def claimed() -> None:
        """Nobody waits for it."""

    async with asyncio.timeout(SECONDS_MAX):
        await Overtaken(writer, event_log).to_end(claimed)
    assert run.status is RunStatus.TERMINATED
    stream = await names(event_log, run)
    assert stream[2:] == ["RunStopRequested", "NodeDeferred", "RunTerminated"]


async def test_a_sub_graph_that_returns_too_much_fails(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than any node may yield, so its parent could not take it."""
    texts = ["x" * 1_000] * 3
    child = graph(
        items("a", *texts),
        items("b", *texts),
        agent_output("y"),
        links="""
            a.item > y.value
            b.item > y.value
        """,
    )
    top = await saved(repository, graph(agent("part", await saved(repository, child))))
    parent = await Worker.of(repository, (await start(repository, top)).answer.run_id)
    await parent.claims()
    below = (await parent.becomes_a_parent()).run_id
    monkeypatch.setattr(run_limits, "NODE_OUTPUT_BYTES_MAX", 5_000)
    run = await RunRepository(repository).load(below)
    assert run is not None
    writer = RunWriter(run, dependencies(repository.log))
    writer.claim()

    async def claimed() -> None:
        """Nobody waits for it."""

    async with asyncio.timeout(SECONDS_MAX):
        await RunDriver(writer, dependencies(repository.log)).to_end(claimed)
    assert run.status is RunStatus.FAILED
    assert run.error == run_driver.RETURNS_TOO_MUCH
