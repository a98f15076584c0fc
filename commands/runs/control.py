"""Runs: stopped, paused, resumed, parked. What a worker has in hand, it is asked to end itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec
import structlog

from commands.runs.lives import LifeReader, execute
from domain import credits as accounts
from domain import run_life, runs
from domain.credits import ACCOUNT
from domain.errors import DomainError, Unavailable
from domain.events import Event
from domain.limits import run_limits
from domain.run_life import Life
from domain.runs import RunEnd, RunStatus, RunTerminated
from runtime import clock, database
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Decision, Done, Repository
from runtime.aggregates.run_repository import RunRepository, Scope
from runtime.eventlog.log import StreamWrite

log = structlog.get_logger()

SWEEPER = "worker:sweeper"


class RunControlled(msgspec.Struct, frozen=True):
    """How the run stands behind the command. A worker that was asked to stop still has it."""

    run_id: str
    status: RunStatus


async def stop(
    repository: Repository, context: CommandContext, run_id: str, *, graph_id: str | None = None
) -> Done[RunControlled]:
    """End a run and its sub-graphs; one that has ended stays as it is (4.12).

    A run that no worker has is ended at once, and what was held for it is settled. Raises NotFound.
    """
    done, children = await _stop_one(repository, context, run_id, graph_id)
    below = msgspec.structs.replace(context, idempotency=None)
    for _ in range(run_limits.CHILD_DEPTH_MAX):
        children = await _stop_level(repository, below, children)
    return done


async def stop_orphan(repository: Repository, run_id: str) -> Done[RunControlled]:
    """End a run whose parent has ended, on behalf of its user. Raises NotFound."""
    life = await LifeReader(repository, run_id).read()
    owner = "" if life is None else life.user_id
    return await stop(repository, CommandContext(owner=owner, actor=SWEEPER), run_id)


async def pause(
    repository: Repository, context: CommandContext, run_id: str, *, graph_id: str | None = None
) -> Done[RunControlled]:
    """Let nothing further of a run start. Raises NotFound, or Conflict when it has ended."""
    return await _decide(repository, context, run_id, graph_id, run_life.pause)


async def resume(
    repository: Repository, context: CommandContext, run_id: str, *, graph_id: str | None = None
) -> Done[RunControlled]:
    """Let a paused run go on. Raises NotFound, or Conflict when it has ended."""
    return await _decide(repository, context, run_id, graph_id, run_life.resume)


async def park(
    repository: Repository,
    worker: str,
    run_id: str,
    reason: str,
    is_held: Callable[[str], Awaitable[bool]],
) -> None:
    """Set a run aside that `worker` cannot take, unless it has ended or another has it in hand; one
    that shall stop ends, and what was held for it is settled.

    `is_held` says whether a worker's lease still runs. Raises as `execute`.
    """
    reader = LifeReader(repository, run_id)
    first = await reader.read()
    owner = "" if first is None else first.user_id

    async def decide() -> Decision[RunControlled]:
        life = await reader.read_owned(owner)
        is_others = life.worker not in {None, worker} and await is_held(str(life.worker))
        events = [] if is_others else run_life.park(life, reason, clock.now())
        return _decision(reader, life, events, await _settling(repository, run_id, life, events))

    context = CommandContext(owner=owner, actor=f"worker:{worker}")
    await execute(repository, context, run_id, decide, RunControlled)


async def _decide(
    repository: Repository,
    context: CommandContext,
    run_id: str,
    graph_id: str | None,
    rule: Callable[[Life], list[Event]],
) -> Done[RunControlled]:
    reader = LifeReader(repository, run_id)

    async def decide() -> Decision[RunControlled]:
        life = await reader.read_owned(context.owner, graph_id)
        return _decision(reader, life, rule(life))

    return await execute(repository, context, run_id, decide, RunControlled)


def _decision(
    reader: LifeReader, life: Life, events: Sequence[Event], others: Sequence[StreamWrite] = ()
) -> Decision[RunControlled]:
    answer = RunControlled(run_id=reader.run_id, status=run_life.status_after(life, events))
    if not events:
        return Decision(writes=[], answer=answer)
    ours = StreamWrite.of(reader.stream, life.version, events)
    return Decision(writes=[ours, *others], answer=answer)


async def _stop_one(
    repository: Repository, context: CommandContext, run_id: str, graph_id: str | None = None
) -> tuple[Done[RunControlled], list[str]]:
    """Stop one run; returns its children too."""
    reader = LifeReader(repository, run_id)

    async def decide() -> Decision[RunControlled]:
        life = await reader.read_owned(context.owner, graph_id)
        events = run_life.stop(life)
        return _decision(reader, life, events, await _settling(repository, run_id, life, events))

    done = await execute(repository, context, run_id, decide, RunControlled)
    life = await reader.read_owned(context.owner, graph_id)
    return done, life.children


async def _stop_level(
    repository: Repository, context: CommandContext, run_ids: Sequence[str]
) -> list[str]:
    """Stop those of the runs that have not ended; returns their children."""
    if not run_ids:
        return []
    last, _ = await repository.log.read_last([runs.stream_of(run_id) for run_id in run_ids])
    unended = [runs.run_of(name) for name, e in last.items() if not isinstance(e.event, RunEnd)]
    below: list[str] = []

    async def stop_child(run_id: str) -> None:
        # Its parent is being stopped in any case; what is missed here, the sweeper stops.
        with suppress(DomainError):
            _, children = await _stop_one(repository, context, run_id)
            below.extend(children)

    for start in range(0, len(unended), run_limits.RUNS_STOPPED_AT_ONCE):
        batch = unended[start : start + run_limits.RUNS_STOPPED_AT_ONCE]
        await asyncio.gather(*(stop_child(run_id) for run_id in batch))
    return below


async def _settling(
    repository: Repository, run_id: str, life: Life, events: Sequence[Event]
) -> list[StreamWrite]:
    """What closes the credit hold of a run that no worker has, if these events end it."""
    if not any(isinstance(event, RunTerminated) for event in events):
        return []
    account = await repository.load(ACCOUNT, life.user_id)
    if run_id not in account.state.holds:
        return []
    spent = life.stats.cost
    if spent and life.children:
        # Each child pays for itself, and only the whole run knows which of them it has counted.
        spent = await _own_cost(repository, run_id)
    return account.write(accounts.settle(account.state, hold=run_id, spent=spent))


async def _own_cost(repository: Repository, run_id: str) -> int:
    """What a run has cost without its children. Who cannot read it cannot charge for it."""
    try:
        run = await RunRepository(repository).load(run_id, Scope(whole=False))
    except (Unavailable, *database.LOST):
        raise
    except Exception:
        log.exception("run.not_charged", run=run_id)
        return 0
    assert run is not None, "a run's stream does not go away"
    return run.cost
