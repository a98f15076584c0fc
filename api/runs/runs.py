"""Runs: started, listed, and shown in full. The contract calls them executions."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any, Literal

import msgspec
from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from api.http.calls import POSITION_TEXT, AnyRequest, answer, catch_up, context_of
from api.http.operations import Listing, Start
from api.http.paging import (
    After,
    ExecutionsLimit,
    Page,
    PageSize,
    VersionInPath,
    check_after,
    offset_of,
    pagination,
)
from api.http.problems import refusals
from api.runs.schemas import (
    GraphExecutionMeta,
    GraphExecutionsPaginated,
    GraphExecutionWithNodes,
    accepted_meta,
    listed_meta,
    run_in_full,
)
from api.services import Services
from blocks.catalogue import CONTRACTS
from commands.runs import starts
from domain.errors import Invalid
from domain.graphs.graph import GRAPH
from domain.json_values import check_json
from domain.limits import request_limits, value_limits
from domain.run_starts import Budget
from projections.runs import details
from projections.runs import read_model as run_lists
from projections.runs.details import NOW, AsOf


class ExecuteGraph(msgspec.Struct):
    """The body of a start; an empty body is an empty object."""

    inputs: dict[str, Any] = msgspec.field(default_factory=dict)
    credentials_inputs: dict[str, Any] = msgspec.field(default_factory=dict)
    source: Literal["builder", "library", "onboarding"] | None = None
    dry_run: bool = False
    budget: Budget = Budget()


async def _execute(
    request: AnyRequest,
    services: Services,
    graph_id: str,
    graph_version: int | None,
    body: ExecuteGraph | None,
) -> Response[GraphExecutionMeta]:
    data = body or ExecuteGraph()
    check_json(data.inputs, "inputs")
    if data.dry_run:
        raise Invalid("dry_run is not supported")
    if data.credentials_inputs:
        raise Invalid("credentials_inputs is not supported: no block takes credentials")
    context = await context_of(request)
    done = await starts.start(
        services.repository,
        context,
        services.runs.plans,
        graph_id=graph_id,
        graph_version=graph_version,
        inputs=data.inputs,
        contracts=CONTRACTS,
        budget=data.budget,
        quota=services.quota,
    )
    return answer(services, context, done, accepted_meta(done.answer))


@post(
    "/graphs/{graph_id:str}/execute/{graph_version:int}",
    operation_class=Start,
    operation_id="postV1ExecuteGraphAgent",
    responses=refusals(402, 403, 404, 413, 422),
    status_code=200,
    tags=["graphs"],
)
async def execute_version(
    request: AnyRequest,
    graph_id: FromPath[str],
    graph_version: VersionInPath,
    services: NamedDependency[Services],
    data: JSONBody[ExecuteGraph | None] = None,
) -> Response[GraphExecutionMeta]:
    """Start a run of one version. Answers as soon as the run is in the log."""
    return await _execute(request, services, graph_id, graph_version, data)


@post(
    "/graphs/{graph_id:str}/execute",
    operation_class=Start,
    operation_id="postV1ExecuteActiveGraphAgent",
    responses=refusals(402, 403, 404, 413, 422),
    status_code=200,
    tags=["graphs"],
)
async def execute_active(
    request: AnyRequest,
    graph_id: FromPath[str],
    services: NamedDependency[Services],
    data: JSONBody[ExecuteGraph | None] = None,
) -> Response[GraphExecutionMeta]:
    """Start a run of the active version."""
    return await _execute(request, services, graph_id, None, data)


@get(
    "/executions",
    operation_class=Listing,
    operation_id="getV1ListAllExecutions",
    responses=refusals(),
    tags=["graphs"],
)
async def list_all(
    request: AnyRequest, services: NamedDependency[Services]
) -> list[GraphExecutionMeta]:
    """The caller's newest runs, of all graphs."""
    await catch_up(services, request)
    async with services.log.pool.connection() as connection:
        rows = await run_lists.list_runs(
            connection,
            user_id=request.user.user_id,
            graph_id=None,
            limit=request_limits.EXECUTIONS_LISTED_MAX,
        )
    return [listed_meta(row) for row in rows]


@get(
    "/graphs/{graph_id:str}/executions",
    operation_class=Listing,
    operation_id="getV1ListGraphExecutions",
    responses=refusals(404),
    tags=["graphs"],
)
async def list_of_graph(
    request: AnyRequest,
    graph_id: FromPath[str],
    services: NamedDependency[Services],
    page: Page = 1,
    page_size: PageSize = 25,
) -> GraphExecutionsPaginated:
    """The runs of one graph, newest first, in pages."""
    offset = offset_of(page, page_size)
    user_id = request.user.user_id
    await services.repository.load_owned(GRAPH, graph_id, user_id)
    await catch_up(services, request)
    async with services.log.pool.connection() as connection:
        total = await run_lists.count_runs(connection, user_id=user_id, graph_id=graph_id)
        rows = await run_lists.list_runs(
            connection,
            user_id=user_id,
            graph_id=graph_id,
            limit=page_size,
            offset=offset,
        )
    return GraphExecutionsPaginated(
        executions=[listed_meta(row) for row in rows],
        pagination=pagination(total, page, page_size),
    )


@get(
    "/graphs/{graph_id:str}/executions/{run_id:str}",
    operation_id="getV1GetExecutionDetails",
    responses=refusals(404),
    tags=["graphs"],
)
async def get_run(
    request: AnyRequest,
    graph_id: FromPath[str],
    run_id: FromPath[str],
    services: NamedDependency[Services],
    *,
    as_of: FromQuery[str | None] = None,
    after: After = 0,
    limit: ExecutionsLimit = request_limits.EXECUTIONS_PAGE,
    outputs_after: After = 0,
) -> Response[GraphExecutionWithNodes]:
    """A run with its outputs and node executions, as current as the log.

    `as_of` shows it as it was: at a version of its stream, or at a time such as
    `2026-01-31T12:00:00Z`. Of its node executions, at most `limit` are shown after the first
    `after`, and of its outputs those after the first `outputs_after`: of both only as many as one
    answer has room for, which is some megabytes. `next_after` and `next_outputs` say where to go
    on.
    """
    show = partial(
        run_in_full,
        numbers=_numbers(after, limit),
        outputs_after=check_after(outputs_after, "outputs_after"),
    )
    share = services.answers.share(request.user.user_id)
    async with services.views.permit(share, request_limits.RUN_PAGE_BYTES) as permit:
        page = await details.look(
            services.views,
            permit,
            run_id,
            request.user.user_id,
            show,
            graph_id=graph_id,
            as_of=_as_of(as_of),
        )
        # Encoded before others get their turn: what is large in memory are the parts.
        content: Any = msgspec.json.encode(page)
    return Response(content, media_type=MediaType.JSON)


def _numbers(after: int, limit: int) -> range:
    if not (
        0 <= after <= value_limits.JSON_INTEGER_MAX and 1 <= limit <= request_limits.EXECUTIONS_PAGE
    ):
        raise Invalid(
            "after must be a whole number from 0 and limit from 1 to"
            f" {request_limits.EXECUTIONS_PAGE}"
        )
    return range(after, after + limit)


def _as_of(as_of: str | None) -> AsOf:
    """A version or a time, by default the present. Raises Invalid."""
    if as_of is None:
        return NOW
    if POSITION_TEXT.fullmatch(as_of):
        return AsOf(version=int(as_of))
    try:
        moment = datetime.fromisoformat(as_of)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Invalid(
            "as_of must be a version, or a time with its offset such as 2026-01-31T12:00:00Z"
        )
    return AsOf(moment=moment)


handlers = [execute_version, execute_active, list_all, list_of_graph, get_run]
