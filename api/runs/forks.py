"""Runs that go on where others stood: forked at a point, or retried from what failed."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.http.bodies import OwnBody
from api.http.calls import AnyRequest, answer, context_of
from api.http.operations import Command
from api.http.problems import refusals
from api.runs.schemas import ForkedExecutionMeta, forked_meta
from api.services import Services
from blocks.catalogue import CONTRACTS
from commands.runs import forks
from domain.bounds import documented
from domain.engine.views import View
from domain.errors import NotFound
from domain.json_values import check_json
from domain.limits import request_limits, value_limits
from domain.runs import execution_id
from projections.runs import details
from projections.runs.pages import Pages

IDS_AT_ONCE = 1_000
"""Ids of node executions that are made before others get their turn."""


class ForkRun(OwnBody):
    """Where to fork: either before a node execution, or after a version of the run's stream.

    `inputs` are laid over those of the node execution, or else over the run's own.
    """

    node_exec_id: str | None = None
    version: Annotated[int | None, documented(minimum=1, maximum=value_limits.JSON_INTEGER_MAX)] = (
        None
    )
    inputs: dict[str, Any] = msgspec.field(default_factory=dict)


@post(
    "/graphs/{graph_id:str}/executions/{run_id:str}/fork",
    operation_class=Command,
    operation_id="postV1ForkGraphExecution",
    responses=refusals(402, 404, 409, 413, 422),
    status_code=200,
    tags=["graphs"],
)
async def fork_run(
    request: AnyRequest,
    graph_id: FromPath[str],
    run_id: FromPath[str],
    services: NamedDependency[Services],
    data: JSONBody[ForkRun],
) -> Response[ForkedExecutionMeta]:
    """Start a run that takes over what another one had done up to a point."""
    check_json(data.inputs, "inputs")
    context = await context_of(request)
    number = None
    if data.node_exec_id is not None:
        share = services.answers.share(context.owner)
        async with services.views.permit(share, request_limits.OUTPUTS_PAGE_BYTES) as permit:
            count = await details.look(
                services.views, permit, run_id, context.owner, _count, graph_id=graph_id
            )
        number = await _number_of(run_id, count, data.node_exec_id)
    done = await forks.fork(
        services.repository,
        context,
        services.runs,
        run_id=run_id,
        graph_id=graph_id,
        execution=number,
        version=data.version,
        inputs=data.inputs,
        contracts=CONTRACTS,
        turn=partial(services.views.taken_permit, services.answers.share(context.owner)),
    )
    return answer(services, context, done, forked_meta(done.answer))


@post(
    "/graphs/{graph_id:str}/executions/{run_id:str}/retry",
    operation_class=Command,
    operation_id="postV1RetryGraphExecution",
    responses=refusals(402, 404, 409, 413, 422),
    status_code=200,
    tags=["graphs"],
)
async def retry_run(
    request: AnyRequest,
    graph_id: FromPath[str],
    run_id: FromPath[str],
    services: NamedDependency[Services],
) -> Response[ForkedExecutionMeta]:
    """Start a run that takes over another one, and runs the nodes again that failed there."""
    context = await context_of(request)
    done = await forks.retry(
        services.repository,
        context,
        services.runs,
        run_id=run_id,
        graph_id=graph_id,
        contracts=CONTRACTS,
        turn=partial(services.views.taken_permit, services.answers.share(context.owner)),
    )
    return answer(services, context, done, forked_meta(done.answer))


async def _count(view: View, _pages: Pages) -> int:
    return view.run.count


async def _number_of(run_id: str, count: int, node_exec_id: str) -> int:
    """The number of a node execution in its run. Raises NotFound."""
    for number in range(count):
        if execution_id(run_id, number) == node_exec_id:
            return number
        if number % IDS_AT_ONCE == 0:
            await asyncio.sleep(0)
    raise NotFound(f"Node execution {node_exec_id} not found")


handlers = [fork_run, retry_run]
