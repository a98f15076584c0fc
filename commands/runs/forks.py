"""Runs that begin where another one stood (design, 4): to try something else, or to try again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import msgspec

from commands.runs import creation
from commands.runs.lives import LifeReader
from commands.runs.starts import RunAccepted, accepted
from domain import credits as accounts
from domain import run_starts, runs
from domain.contracts import BlockContract
from domain.credits import ACCOUNT
from domain.engine import forks
from domain.engine.pins import base_pin
from domain.engine.run import Run
from domain.errors import Conflict, Invalid, NotFound
from domain.graphs.graph import GRAPH
from domain.limits import run_limits
from domain.run_starts import Budget
from domain.runs import (
    ChildStarted,
    Fork,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    ReviewRequested,
    RunCreated,
)
from runtime import ids
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Decision, Done, Repository
from runtime.aggregates.run_repository import RunRepository, Scope
from runtime.eventlog.log import EventLog

_ABOUT_A_NODE = (
    NodeStarted,
    NodeDeferred,
    ChildStarted,
    ReviewRequested,
    NodeRetried,
    NodeCompleted,
    NodeFailed,
)


Turn = Callable[[], AbstractAsyncContextManager[None]]
"""Waits until it may be had. Whoever has it waits for nothing but the database."""


class Beginning(msgspec.Struct, frozen=True):
    """How the run that is forked was created, and what a fork takes over from it."""

    source: RunCreated
    fork: Fork


class PastRun(msgspec.Struct, frozen=True):
    """A run as it was at one version; `created` stays what it was when `run` is taken over."""

    run_id: str
    version: int
    run: Run
    created: RunCreated

    def fork(self, **what: Any) -> Fork:
        """What a fork takes over here. Raises Conflict when there were too many before it."""
        depth = 1 if self.created.fork is None else self.created.fork.depth + 1
        if depth > run_limits.FORK_DEPTH_MAX:
            raise Conflict(f"at most {run_limits.FORK_DEPTH_MAX} forks of forks are kept apart")
        return Fork(run_id=self.run_id, version=self.version, depth=depth, **what)


async def fork(
    repository: Repository,
    context: CommandContext,
    run_repository: RunRepository,
    *,
    run_id: str,
    graph_id: str,
    execution: int | None,
    version: int | None,
    inputs: dict[str, Any],
    contracts: Mapping[str, BlockContract],
    turn: Turn = nullcontext,
) -> Done[RunAccepted]:
    """Accept a run that reuses what happened before a node execution, or up to a version.

    `inputs` are laid over those of the execution, by pin; without one over the run's own, by name.
    The run is read while a `turn` is had. Raises NotFound, PaymentRequired, Conflict after too many
    forks in a row, GraphInvalid when the graph's blocks are gone, and Invalid for a place or inputs
    that are impossible.
    """
    if (execution is None) == (version is None):
        raise Invalid("a fork begins at a node execution or at a version, at one of them")

    async def begin() -> Beginning:
        life = await LifeReader(repository, run_id).read_owned(context.owner, graph_id)
        last = life.last_open_version
        if execution is not None:
            state = await _before(run_repository, run_id, last, execution)
        elif version is not None and 1 <= version <= last:
            state = await _state(run_repository, run_id, version)
        else:
            raise Invalid(f"a fork of this run begins at a version from 1 to {last}")
        planned = state.fork(execution=execution, inputs=inputs)
        if execution is not None and inputs and execution in state.run.executions:
            await run_repository.read_given(state.run, execution)
        _require_possible(state.run, planned)
        own = inputs if execution is None else {}
        source = msgspec.structs.replace(state.created, inputs={**state.created.inputs, **own})
        return Beginning(source=source, fork=planned)

    return await _accept(repository, context, run_repository.plans, begin, contracts, turn=turn)


async def retry(
    repository: Repository,
    context: CommandContext,
    run_repository: RunRepository,
    *,
    run_id: str,
    graph_id: str,
    contracts: Mapping[str, BlockContract],
    turn: Turn = nullcontext,
) -> Done[RunAccepted]:
    """Accept a run that takes an ended one up again: what failed there, and what was cut off.

    It is read while a `turn` is had. Raises NotFound, PaymentRequired, GraphInvalid, and Conflict
    when the run has not ended, when there is nothing to retry, or after too many forks in a row.
    """

    async def begin() -> Beginning:
        life = await LifeReader(repository, run_id).read_owned(context.owner, graph_id)
        if not life.is_ended:
            raise Conflict(f"the run has not ended: it is {life.status}")
        state = await _state(run_repository, run_id, life.last_open_version)
        if not state.run.failed and state.run.is_drained:
            raise Conflict("there is nothing to retry: no node failed, and none was cut off")
        planned = state.fork(retried=tuple(state.run.failed))
        return Beginning(source=state.created, fork=planned)

    return await _accept(repository, context, run_repository.plans, begin, contracts, turn=turn)


async def _accept(
    repository: Repository,
    context: CommandContext,
    plans: PlanCache,
    begin: Callable[[], Awaitable[Beginning]],
    contracts: Mapping[str, BlockContract],
    *,
    turn: Turn,
) -> Done[RunAccepted]:
    new_id = ids.new_id()
    run_id = str(new_id)
    beginning: Beginning | None = None

    async def decide() -> Decision[RunAccepted]:
        nonlocal beginning
        # What has happened stays as it is: who has to decide again need not look at it again.
        if beginning is None:
            async with turn():
                beginning = await begin()
        source = beginning.source
        account = await repository.load(ACCOUNT, context.owner)
        accounts.require_positive(account.state)
        graph = (await repository.load_owned(GRAPH, source.graph_id, context.owner)).state
        version = graph.version(source.graph_version)
        budget = Budget(source.steps_max, source.seconds_max, source.credits_max)
        plan = await plans.of(graph, version)
        run_starts.require_available(plan, contracts)
        created = run_starts.first_event(graph, version, plan, source.inputs, budget=budget)
        created = msgspec.structs.replace(created, fork=beginning.fork)
        writes = await creation.writes(repository, account, run_id, created)
        return Decision(writes=writes, answer=accepted(run_id, created))

    return await repository.execute(
        msgspec.structs.replace(context, correlation=new_id), decide, RunAccepted
    )


async def _before(run_repository: RunRepository, run_id: str, last: int, number: int) -> PastRun:
    """The run before anything happened with an execution; as it is when nothing did.

    What a fork took over happened in the run that it was forked from, or further back.
    """
    while True:
        first = await _first_about(run_repository.log, run_id, last, number)
        state = await _state(run_repository, run_id, last if first is None else first - 1)
        if number >= state.run.count:
            raise NotFound(f"Node execution {number} of execution {run_id} not found")
        earlier = state.created.fork
        if first is not None or number in state.run.executions or earlier is None:
            return state
        run_id, last = earlier.run_id, earlier.version


async def _first_about(log: EventLog, run_id: str, last: int, number: int) -> int | None:
    """The version of the first event about a node execution, up to `last`."""
    async for page in log.stream_pages(runs.stream_of(run_id), upto=last):
        for entry in page:
            if isinstance(entry.event, _ABOUT_A_NODE) and entry.event.execution == number:
                return entry.version
    return None


async def _state(run_repository: RunRepository, run_id: str, version: int) -> PastRun:
    run = await run_repository.load(run_id, Scope(version=version, whole=False))
    assert run is not None, "a run's stream does not go away"
    assert run.created is not None
    return PastRun(run_id=run_id, version=version, run=run, created=run.created)


def _require_possible(run: Run, planned: Fork) -> None:
    """Raise Invalid unless `run` can be taken over like this; afterwards it is."""
    forks.check(run, planned)
    if planned.execution is not None:
        node = run.executions[planned.execution].node.node
        for pin in planned.inputs:
            if not node.is_agent and base_pin(pin) not in node.contract.inputs:
                raise Invalid(f"{node.contract.name} has no input {pin!r}")
    forks.take_over(run, planned)
