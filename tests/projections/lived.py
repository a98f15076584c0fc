"""Runs with a life made up from a seed, written to a real log with their large values."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from blocks.data import AddToList, StoreValue
from blocks.io import AgentOutput
from blocks.logic import Calculator
from blocks.text import CombineTexts, TextProcessing
from domain import large_values
from domain.engine.evolve import evolve
from domain.engine.execution import Execution
from domain.engine.run import Run
from domain.events import Event
from domain.runs import (
    Fork,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    Output,
    ReviewDecided,
    ReviewReason,
    ReviewRequested,
    RunClaimed,
    RunCreated,
    RunPaused,
    RunResumed,
    RunSuspended,
    stream_of,
)
from runtime import clock, ids
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Repository
from runtime.eventlog.log import Origin, StreamWrite
from tests.commands.runs.driving import saved
from tests.support.graphs import agent_output, graph, items, node

OUTSIDE = (RunPaused(), RunResumed(), RunClaimed("other/1"))


async def graph_of(repository: Repository) -> str:
    """A graph that looks into some of its values, and at others not."""
    document = graph(
        items("a", 1),
        items("b", 1),
        node("sum", Calculator, operation="Add"),
        node("kept", StoreValue),
        node("list", AddToList),
        node("upper", TextProcessing, operation="upper"),
        node("joined", CombineTexts),
        agent_output("y"),
        agent_output("z"),
        links="""
            a.item > sum.a
            b.item > sum.b
            sum.result > y.value
            a.item > kept.input
            kept.output > list.entry
            a.item > upper.text
            upper.result_#_text > joined.input_$_0
            b.item > joined.input_$_1
            upper.result > z.value
            joined.output > y.value
            list.updated_list > z.value
        """,
    )
    return await saved(repository, document)


class Life:
    """Writes what happens in one run, at most so many events."""

    def __init__(self, repository: Repository, graph_id: str, seed: int) -> None:
        self.repository = repository
        self.graph_id = graph_id
        self.run_id = str(ids.new_id())
        self.random = random.Random(seed)
        self.run: Run | None = None

    async def begin(self, source: Run | None = None, fork: Fork | None = None) -> None:
        created = RunCreated("ada", self.graph_id, 1, {}, steps_max=1_000, fork=fork)
        if source is None:
            plan = await PlanCache(self.repository).load(self.graph_id, 1)
            self.run = Run(self.run_id, plan, kept=range(10_000))
        else:
            self.run = source
            source.run_id, source.version = self.run_id, 0
        await self.write(created)
        await self.write(RunClaimed("test/1"))

    async def go_on(self, events: int) -> None:
        """Until there is nothing to do, or so many events."""
        for _ in range(events):
            await self.write(*self._next())

    def unfinished(self) -> list[Execution]:
        assert self.run is not None
        return [e for e in self.run.executions.values() if e.status in {"QUEUED", "RUNNING"}]

    def _next(self) -> list[Event]:
        assert self.run is not None
        at_hand = self.unfinished()
        if not at_hand or self.random.random() < 0.1:
            return [self.random.choice((*OUTSIDE, RunSuspended(self.run.stats)))]
        one = self.random.choice(at_hand[:6])
        number, node_id = one.number, one.node.node.node_id
        kind = self.random.choices(["done", "failed", "started", "asked", "later"], [8, 1, 1, 1, 1])
        until = clock.now() + timedelta(hours=1)
        match kind:
            case ["failed"]:
                return [NodeFailed(number, node_id, "broken", 5, self._outputs(one)[:1])]
            case ["started"]:
                return [NodeStarted(number, node_id, one.attempt + 1)]
            case ["asked"]:
                asked = ReviewRequested(number, node_id, "Letter", 1, ReviewReason.ASKED)
                return [asked, ReviewDecided(number, node_id, approved=True, message="fine")]
            case ["later"]:
                deferred = NodeDeferred(number, node_id, until)
                return [deferred, NodeRetried(number, node_id, 1, "busy", 3, until)]
        return [NodeCompleted(number, node_id, self._outputs(one), 5, cost=1)]

    def _outputs(self, one: Execution) -> list[Output]:
        block = one.node.node.contract.block_id
        count = self.random.randint(1, 4)
        text = f"{self.random.randint(0, 9)}" * self.random.choice((1, 40))
        if block == Calculator.id:
            return [("result", int(text))]
        if block == TextProcessing.id:
            return [("result", {"text": text, "n": 1})]
        if block in {CombineTexts.id, StoreValue.id, AgentOutput.id}:
            return [("output", text)]
        if block == AddToList.id:
            return [("updated_list", [text])]
        return [("item", text) for _ in range(count)]

    async def write(self, *events: Event) -> None:
        assert self.run is not None
        kept = [await self._kept(event) for event in events]
        write = StreamWrite.of(stream_of(self.run_id), self.run.version, kept)
        await self.repository.log.append([write], Origin("ada", "worker:test"))
        for event in events:
            evolve(self.run, event)

    async def _kept(self, event: Event) -> Event:
        """With hashes in place of large values, which are stored."""
        if not isinstance(event, NodeCompleted | NodeFailed):
            return event
        hashes, values = large_values.take_out(enumerate(v for _, v in event.outputs))
        await self.repository.log.values.put("ada", list(values.values()))
        members: dict[str, Any] = {
            name: getattr(event, name) for name in event.__struct_fields__
        } | {"outputs": large_values.without(event.outputs, hashes), "large": hashes}
        return type(event)(**members)
