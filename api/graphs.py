"""Graphs: saved, versioned, read."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import Response, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from api.graph_schemas import GraphMeta, GraphModel, graph_meta, graph_model, saved_model
from api.http.calls import AnyRequest, answer, catch_up, context_of
from api.http.operations import Command, Listing
from api.http.paging import After, VersionInPath, VersionInQuery, check_after, next_link
from api.http.problems import refusals
from api.services import Services
from blocks.catalogue import CONTRACTS
from commands import graphs
from domain.graphs.graph import GRAPH, Graph, GraphSettings, GraphVersion
from domain.limits import request_limits
from projections import graphs as graph_lists

_encode = msgspec.json.Encoder().encode


class CreateGraph(msgspec.Struct):
    """`graph` is a Graph as the contract has it, or an agent file exported from the platform."""

    graph: dict[str, Any]
    source: Literal["builder", "upload"] | None = None


class GraphSettingsChange(msgspec.Struct):
    """What is missing or null stays as it is."""

    human_in_the_loop_safe_mode: bool | None = None
    sensitive_action_safe_mode: bool | None = None


@post(
    "/graphs",
    operation_class=Command,
    operation_id="postV1CreateNewGraph",
    responses=refusals(403, 413, 422),
    status_code=200,
    tags=["graphs"],
    request_max_body_size=request_limits.GRAPH_BYTES_MAX,
)
async def create_graph(
    request: AnyRequest, data: JSONBody[CreateGraph], services: NamedDependency[Services]
) -> Response[GraphModel]:
    """Store a graph under new ids, as version 1."""
    context = await context_of(request)
    done = await graphs.create(
        services.repository,
        context,
        document=data.graph,
        source=data.source,
        contracts=CONTRACTS,
        quota=services.quota,
    )
    return answer(services, context, done, saved_model(done.answer))


@put(
    "/graphs/{graph_id:str}",
    operation_class=Command,
    operation_id="putV1UpdateGraphVersion",
    responses=refusals(403, 404, 413, 422),
    tags=["graphs"],
    request_max_body_size=request_limits.GRAPH_BYTES_MAX,
)
async def update_graph(
    request: AnyRequest,
    graph_id: FromPath[str],
    data: JSONBody[dict[str, Any]],
    services: NamedDependency[Services],
) -> Response[GraphModel]:
    """Store the next version of a graph; it becomes the active one unless it says otherwise."""
    context = await context_of(request)
    done = await graphs.save_version(
        services.repository,
        context,
        graph_id=graph_id,
        document=data,
        contracts=CONTRACTS,
        quota=services.quota,
    )
    return answer(services, context, done, saved_model(done.answer))


@get(
    "/graphs",
    operation_class=Listing,
    operation_id="getV1ListUserGraphs",
    responses=refusals(),
    tags=["graphs"],
)
async def list_graphs(
    request: AnyRequest, services: NamedDependency[Services], after: After = 0
) -> Response[list[GraphMeta]]:
    """The caller's graphs, newest first, as their active versions describe them.

    Those after the first `after`, as many as one answer has room for; the header `Link` says
    where it goes on, as `rel="next"`.
    """
    check_after(after)
    await catch_up(services, request)
    async with services.log.pool.connection() as connection:
        rows = await graph_lists.list_graphs(connection, user_id=request.user.user_id, after=after)
    goes_on = bool(rows) and rows[-1].has_next
    headers = next_link(after + len(rows) if goes_on else None)
    return Response([graph_meta(row) for row in rows], headers=headers)


@get(
    "/graphs/{graph_id:str}",
    operation_id="getV1GetSpecificGraph",
    responses=refusals(404),
    tags=["graphs"],
)
async def get_graph(
    request: AnyRequest,
    graph_id: FromPath[str],
    services: NamedDependency[Services],
    version: VersionInQuery = None,
    for_export: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter
) -> GraphModel:
    """One version of a graph, by default the active one."""
    graph = await _load(request, services, graph_id)
    return await _shown(services, graph, graph.version(version), for_export=for_export)


@get(
    "/graphs/{graph_id:str}/versions",
    operation_id="getV1GetAllGraphVersions",
    responses=refusals(404),
    tags=["graphs"],
)
async def list_versions(
    request: AnyRequest,
    graph_id: FromPath[str],
    services: NamedDependency[Services],
    after: After = 0,
) -> Response[list[GraphModel]]:
    """The versions of a graph, newest first.

    Those after the first `after`, as many as one answer has room for; the header `Link` says
    where it goes on, as `rel="next"`.
    """
    check_after(after)
    graph = await _load(request, services, graph_id)
    numbers = sorted(graph.versions, reverse=True)[after:]
    room = request_limits.LIST_PAGE_BYTES
    shown: list[Any] = []
    for number in numbers:
        version = graph.versions[number]
        plan = await services.runs.plans.of(graph, version)
        shown.append(msgspec.Raw(_encode(graph_model(graph, version, plan))))
        # Whoever waits for room for the next one has none of this one.
        del plan
        room -= len(shown[-1])
        if room <= 0:
            break
    headers = next_link(after + len(shown) if len(shown) < len(numbers) else None)
    return Response(shown, headers=headers, status_code=200)


@get(
    "/graphs/{graph_id:str}/versions/{version:int}",
    operation_id="getV1GetGraphVersion",
    responses=refusals(404),
    tags=["graphs"],
)
async def get_version(
    request: AnyRequest,
    graph_id: FromPath[str],
    version: VersionInPath,
    services: NamedDependency[Services],
    for_export: FromQuery[bool] = False,  # noqa: FBT002
) -> GraphModel:
    """One version of a graph."""
    graph = await _load(request, services, graph_id)
    return await _shown(services, graph, graph.version(version), for_export=for_export)


@patch(
    "/graphs/{graph_id:str}/settings",
    operation_class=Command,
    operation_id="patchV1UpdateGraphSettings",
    responses=refusals(404, 413, 422),
    tags=["graphs"],
)
async def change_settings(
    request: AnyRequest,
    graph_id: FromPath[str],
    data: JSONBody[GraphSettingsChange],
    services: NamedDependency[Services],
) -> Response[GraphSettings]:
    """Change how new runs of a graph behave; answers all of its settings."""
    context = await context_of(request)
    done = await graphs.change_settings(
        services.repository,
        context,
        graph_id=graph_id,
        human_in_the_loop_safe_mode=data.human_in_the_loop_safe_mode,
        sensitive_action_safe_mode=data.sensitive_action_safe_mode,
    )
    return answer(services, context, done, done.answer)


async def _shown(
    services: Services, graph: Graph, version: GraphVersion, *, for_export: bool
) -> GraphModel:
    plan = await services.runs.plans.of(graph, version)
    return graph_model(graph, version, plan, for_export=for_export)


async def _load(request: AnyRequest, services: Services, graph_id: str) -> Graph:
    return (await services.repository.load_owned(GRAPH, graph_id, request.user.user_id)).state


handlers = [
    create_graph,
    update_graph,
    list_graphs,
    get_graph,
    list_versions,
    get_version,
    change_settings,
]
