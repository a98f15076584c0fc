"""Runs in motion: stopped, paused, resumed; one of them, or all of a graph."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.http.calls import AnyRequest, answer, catch_up, context_of
from api.http.operations import Command, CommandForAll
from api.http.problems import refusals
from api.runs.schemas import GraphExecutionMeta, current_meta
from api.services import Services
from commands.runs import control
from commands.runs.control import RunControlled
from domain import runs
from domain.errors import Conflict
from domain.graphs.graph import GRAPH
from domain.limits import request_limits
from domain.runs import TERMINAL, RunEnd
from projections.projection import Recorded
from projections.runs import details
from projections.runs import read_model as run_lists
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Done, Repository


class RunsControlled(msgspec.Struct):
    """How many unfinished runs of the graph are so now, whether they were before or not."""

    count: int


class Control(Protocol):
    """A command about one run."""

    def __call__(
        self,
        repository: Repository,
        context: CommandContext,
        run_id: str,
        *,
        graph_id: str | None = None,
    ) -> Awaitable[Done[RunControlled]]: ...


@post(
    "/graphs/{graph_id:str}/executions/{run_id:str}/stop",
    operation_class=Command,
    operation_id="postV1StopGraphExecution",
    responses=refusals(404, 409, 413, 422),
    status_code=200,
    tags=["graphs"],
)
async def stop_run(
    request: AnyRequest,
    graph_id: FromPath[str],
    run_id: FromPath[str],
    services: NamedDependency[Services],
) -> Response[GraphExecutionMeta]:
    """Stop a run and its sub-graphs, and answer when it has ended.

    If the worker that has it is not done within 15 seconds, the answer is how the run stands, and
    it ends later. A run that had ended stays as it is.
    """
    context = await context_of(request)
    done = await control.stop(services.repository, context, run_id, graph_id=graph_id)
    if done.answer.status not in TERMINAL:
        end = await _end_of(services, context.owner, run_id)
        done = msgspec.structs.replace(done, position=end or done.position)
    return await _shown(services, context, done)


@post(
    "/graphs/{graph_id:str}/executions/{run_id:str}/pause",
    operation_class=Command,
    operation_id="postV1PauseGraphExecution",
    responses=refusals(404, 409, 413, 422),
    status_code=200,
    tags=["graphs"],
)
async def pause_run(
    request: AnyRequest,
    graph_id: FromPath[str],
    run_id: FromPath[str],
    services: NamedDependency[Services],
) -> Response[GraphExecutionMeta]:
    """Let nothing further of a run start; what is at work may finish."""
    context = await context_of(request)
    done = await control.pause(services.repository, context, run_id, graph_id=graph_id)
    return await _shown(services, context, done)


@post(
    "/graphs/{graph_id:str}/executions/{run_id:str}/resume",
    operation_class=Command,
    operation_id="postV1ResumeGraphExecution",
    responses=refusals(404, 409, 413, 422),
    status_code=200,
    tags=["graphs"],
)
async def resume_run(
    request: AnyRequest,
    graph_id: FromPath[str],
    run_id: FromPath[str],
    services: NamedDependency[Services],
) -> Response[GraphExecutionMeta]:
    """Let a paused run go on."""
    context = await context_of(request)
    done = await control.resume(services.repository, context, run_id, graph_id=graph_id)
    return await _shown(services, context, done)


@post(
    "/graphs/{graph_id:str}/executions/pause",
    operation_class=CommandForAll,
    operation_id="postV1PauseGraphExecutions",
    responses=refusals(404, 409, 413, 422),
    status_code=200,
    tags=["graphs"],
)
async def pause_runs(
    request: AnyRequest, graph_id: FromPath[str], services: NamedDependency[Services]
) -> Response[RunsControlled]:
    """Pause every unfinished run of a graph. Sent again, it pauses what has come since."""
    return await _control_all(services, request, graph_id, control.pause)


@post(
    "/graphs/{graph_id:str}/executions/resume",
    operation_class=CommandForAll,
    operation_id="postV1ResumeGraphExecutions",
    responses=refusals(404, 409, 413, 422),
    status_code=200,
    tags=["graphs"],
)
async def resume_runs(
    request: AnyRequest, graph_id: FromPath[str], services: NamedDependency[Services]
) -> Response[RunsControlled]:
    """Let every paused run of a graph go on."""
    return await _control_all(services, request, graph_id, control.resume)


async def _shown(
    services: Services, context: CommandContext, done: Done[RunControlled]
) -> Response[GraphExecutionMeta]:
    """The run as it is behind the command."""
    run_id = done.answer.run_id
    share = services.answers.share(context.owner)
    async with services.views.permit(share, request_limits.OUTPUTS_PAGE_BYTES) as permit:
        meta = await details.look(services.views, permit, run_id, context.owner, current_meta)
    return answer(services, context, done, meta)


async def _end_of(services: Services, user_id: str, run_id: str) -> int | None:
    """Where the run's end stands in the log; None when it does not come in time."""
    stream = runs.stream_of(run_id)
    end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def hear(recorded: Recorded) -> None:
        if recorded.stream == stream and isinstance(recorded.event, RunEnd) and not end.done():
            end.set_result(recorded.position)

    leave = await services.feed.subscribe(user_id, hear)
    try:
        last, _ = await services.log.read_last([stream])
        if isinstance(last[stream].event, RunEnd):
            return last[stream].position
        with suppress(TimeoutError):
            async with asyncio.timeout(request_limits.STOP_ANSWER_SECONDS_MAX):
                return await end
    finally:
        leave()
    return None


async def _control_all(
    services: Services, request: AnyRequest, graph_id: str, control: Control
) -> Response[RunsControlled]:
    """Many commands, each of which changes nothing when it is repeated: a key has no use here."""
    context = msgspec.structs.replace(await context_of(request), idempotency=None)
    await services.repository.load_owned(GRAPH, graph_id, context.owner)
    await catch_up(services, request)
    count = position = 0
    after = ""
    while batch := await _unfinished(services, context.owner, graph_id, after):
        after = batch[-1]
        commands = (_control(services, context, run_id, control) for run_id in batch)
        done = [one for one in await asyncio.gather(*commands) if one is not None]
        count += len(done)
        position = max([position, *(one.position or 0 for one in done)])
    controlled = RunsControlled(count)
    return answer(services, context, Done(controlled, position or None), controlled)


async def _unfinished(services: Services, user_id: str, graph_id: str, after: str) -> list[str]:
    async with services.log.pool.connection() as connection:
        return await run_lists.list_unfinished(
            connection,
            user_id=user_id,
            graph_id=graph_id,
            after=after,
            limit=request_limits.RUNS_CONTROLLED_AT_ONCE,
        )


async def _control(
    services: Services, context: CommandContext, run_id: str, control: Control
) -> Done[RunControlled] | None:
    """None when the run has ended by now, which the read model that named it did not know."""
    try:
        return await control(services.repository, context, run_id)
    except Conflict:
        return None


handlers = [stop_run, pause_run, resume_run, pause_runs, resume_runs]
