"""Runs in the hands of a test: what a worker would append to them, folded as it goes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from blocks.agents import AgentExecutor
from blocks.catalogue import CONTRACTS
from blocks.contract import Block
from commands import graphs
from commands.runs import children, starts
from commands.runs.children import SubGraph
from domain.budgets import NOTHING, Allotment
from domain.engine.evolve import evolve
from domain.engine.execution import Execution
from domain.engine.run import Run
from domain.events import Event
from domain.runs import (
    ChildStarted,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    ReviewReason,
    ReviewRequested,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunSuspended,
    stream_of,
)
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Done, Repository
from runtime.aggregates.run_repository import RunRepository, Scope
from runtime.eventlog.log import Origin, StreamWrite
from tests.support import credits as credit_support
from tests.support.graphs import Document, node
from tests.support.log import whole_stream

ADA, EVE = CommandContext(owner="ada", actor="ada"), CommandContext(owner="eve", actor="eve")
EVERYTHING = Scope(kept=range(1_000_000), gathers_outputs=True)


async def saved(
    repository: Repository, document: Document, credit: int = 10, context: CommandContext = ADA
) -> str:
    """The id of a graph, whose owner gets that much."""
    if credit:
        await credit_support.grant(repository, context, amount=credit, reason="test")
    done = await graphs.create(
        repository, context, document=document, source=None, contracts=CONTRACTS
    )
    assert done.answer.graph.id is not None
    return done.answer.graph.id


async def start(
    repository: Repository, graph_id: str, context: CommandContext = ADA, **changes: Any
) -> Done[starts.RunAccepted]:
    wanted = {"graph_version": None, "inputs": {}, "contracts": CONTRACTS} | changes
    return await starts.start(
        repository, context, PlanCache(repository), graph_id=graph_id, **wanted
    )


def agent(name: str, graph_id: str, /, version: int = 1, **given: Any) -> Document:
    """A node that runs another graph with these inputs. It has the inputs x and z, and a y."""
    any_values: dict[str, Any] = {"properties": {"x": {}, "z": {}}}
    return node(
        name,
        AgentExecutor,
        graph_id=graph_id,
        graph_version=version,
        inputs=given,
        input_schema=any_values,
        output_schema={"properties": {"y": {}}},
    )


class Worker:
    """Drives one run by hand."""

    def __init__(self, repository: Repository, run: Run) -> None:
        assert run.created is not None
        self.repository = repository
        self.run = run
        self.run_id = run.run_id
        self._origin = Origin(run.created.user_id, "worker:test", UUID(run.run_id))

    @classmethod
    async def of(cls, repository: Repository, run_id: str) -> Worker:
        return cls(repository, await folded(repository, run_id))

    async def append(self, *events: Event, others: list[StreamWrite] | None = None) -> None:
        write = StreamWrite.of(stream_of(self.run_id), self.run.version, events)
        await self.repository.log.append([write, *(others or [])], self._origin)
        for event in events:
            evolve(self.run, event)

    async def claims(self) -> None:
        await self.append(RunClaimed("test"))

    async def suspended(self) -> None:
        await self.append(RunSuspended(stats=self.run.stats))

    async def ends(self) -> None:
        await self.append(RunCompleted(stats=self.run.stats))

    def ready(self, block: type[Block]) -> Execution:
        """The oldest execution of a node of this block that is ready."""
        return self._first(block, {"QUEUED"})

    def at_hand(self, block: type[Block]) -> Execution:
        """The oldest one that is ready or at work."""
        return self._first(block, {"QUEUED", "RUNNING"})

    def _first(self, block: type[Block], statuses: set[str]) -> Execution:
        return next(
            execution
            for execution in self.run.executions.values()
            if execution.node.node.contract.block_id == block.id and execution.status in statuses
        )

    async def starts(self, block: type[Block]) -> None:
        execution = self.at_hand(block)
        await self.append(NodeStarted(execution.number, execution.node.node.node_id))

    async def completes(self, block: type[Block], *outputs: tuple[str, Any]) -> None:
        """The block's oldest execution yields these, at its block's price."""
        execution = self.at_hand(block)
        node = execution.node.node
        cost = node.contract.cost
        done = NodeCompleted(execution.number, node.node_id, list(outputs), elapsed_us=1, cost=cost)
        await self.append(done)

    async def fails(self, block: type[Block], error: str = "broken") -> None:
        execution = self.at_hand(block)
        node_id = execution.node.node.node_id
        await self.append(NodeFailed(execution.number, node_id, error, elapsed_us=1))

    async def asks(self, block: type[Block], **what: Any) -> int:
        """The number of the execution that waits for a person now."""
        execution = self.ready(block)
        known = {"name": "Letter", "data": {"a": 1}, "reason": ReviewReason.ASKED} | what
        node_id = execution.node.node.node_id
        await self.append(ReviewRequested(execution.number, node_id, **known))
        return execution.number

    async def becomes_a_parent(self) -> Worker:
        """The oldest execution of an agent becomes a run, which is returned."""
        execution = self.ready(AgentExecutor)
        part = await children.part(
            self.repository, PlanCache(self.repository), self.run, execution, CONTRACTS
        )
        allotment = self._allotment_of(part)
        opening = await children.opening(self.repository, self.run, execution, part, allotment)
        node_id = execution.node.node.node_id
        started = ChildStarted(execution.number, node_id, part.child_id, allotment)
        await self.append(started, others=opening)
        return await Worker.of(self.repository, part.child_id)

    def _allotment_of(self, part: SubGraph) -> Allotment:
        """What the child wants: nothing else uses up the budget here."""
        assert self.run.created is not None
        tree = self.run.created.tree
        return NOTHING if tree is None else part.plan.once.within(tree.budget)

    async def sees_the_end_of(self, child: Worker) -> None:
        """Take the child's totals into account, as its end would have it."""
        execution = self.at_hand(AgentExecutor)
        node_id = execution.node.node.node_id
        done = NodeCompleted(execution.number, node_id, [], elapsed_us=0, child=child.run.stats)
        await self.append(done)


async def folded(repository: Repository, run_id: str) -> Run:
    """All of a run, as the log has it."""
    run = await RunRepository(repository).load(run_id, EVERYTHING)
    assert run is not None
    return run


async def events_of(repository: Repository, run_id: str) -> list[Event]:
    return [entry.event for entry in await whole_stream(repository.log, stream_of(run_id))]


async def created(repository: Repository, run_id: str) -> RunCreated:
    first = (await events_of(repository, run_id))[0]
    assert isinstance(first, RunCreated)
    return first
