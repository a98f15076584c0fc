"""A graph in the shapes of the API's contract, which the page `/schema` documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from domain.contracts import BlockContract, BlockKind
from domain.engine.plan import Plan
from domain.graphs.checks import input_schema, output_schema
from domain.graphs.exports import without_secrets
from domain.graphs.files import GraphDraft, Link
from domain.graphs.graph import Graph, GraphVersion, VersionSaved
from projections.graphs import GraphRow

JsonSchema = dict[str, Any]

TRIGGERS = frozenset({BlockKind.WEBHOOK, BlockKind.WEBHOOK_MANUAL})


def no_credentials() -> JsonSchema:
    return {"type": "object", "properties": {}, "required": []}


class GraphMeta(msgspec.Struct, kw_only=True):
    """A graph as lists show it."""

    id: str
    version: int
    is_active: bool
    name: str
    description: str
    instructions: str | None
    recommended_schedule_cron: str | None
    forked_from_id: str | None
    forked_from_version: int | None
    user_id: str | UnsetType = UNSET
    created_at: datetime


class LinkModel(msgspec.Struct):
    id: str
    source_id: str
    sink_id: str
    source_name: str
    sink_name: str
    is_static: bool


class NodeModel(msgspec.Struct):
    id: str
    block_id: str
    input_default: dict[str, Any]
    metadata: dict[str, Any]
    input_links: list[LinkModel]
    output_links: list[LinkModel]
    graph_id: str
    graph_version: int
    webhook_id: str | None = None


class GraphModel(GraphMeta, kw_only=True):
    """A graph version in full. What no block offers yet is empty."""

    allow_cycles: bool
    nodes: list[NodeModel]
    links: list[LinkModel]
    sub_graphs: list[Any] = []
    input_schema: JsonSchema
    output_schema: JsonSchema
    credentials_input_schema: JsonSchema = msgspec.field(default_factory=no_credentials)
    has_external_trigger: bool
    has_human_in_the_loop: bool
    has_sensitive_action: bool
    trigger_setup_info: JsonSchema | None = None


def graph_meta(row: GraphRow) -> GraphMeta:
    return GraphMeta(
        id=row.graph_id,
        version=row.version,
        is_active=True,
        name=row.name,
        user_id=row.user_id,
        created_at=row.created_at,
        **row.meta,
    )


def graph_model(
    graph: Graph, version: GraphVersion, plan: Plan, *, for_export: bool = False
) -> GraphModel:
    """A version as it is; an export names no user and carries no secret value."""
    model = _model(
        without_secrets(plan.graph, plan.contracts) if for_export else plan.graph,
        plan.contracts,
        is_active=version.version == graph.active_version,
        created_at=version.created_at,
    )
    if not for_export:
        model.user_id = graph.user_id
    return model


def saved_model(saved: VersionSaved) -> GraphModel:
    """A version that was stored just now."""
    model = _model(
        saved.graph,
        saved.contracts,
        is_active=saved.graph.is_active or saved.version == 1,
        created_at=saved.at,
    )
    model.user_id = saved.user_id
    return model


def _model(
    graph: GraphDraft,
    contracts: Mapping[str, BlockContract],
    *,
    is_active: bool,
    created_at: datetime,
) -> GraphModel:
    assert graph.id is not None
    assert graph.version is not None
    links = [_link(link) for link in graph.links]
    used = [contracts[node.block_id] for node in graph.nodes]
    kinds = {contract.kind for contract in used}
    into, out_of = defaultdict(list), defaultdict(list)
    for link in links:
        into[link.sink_id].append(link)
        out_of[link.source_id].append(link)
    return GraphModel(
        id=graph.id,
        version=graph.version,
        is_active=is_active,
        name=graph.name,
        description=graph.description,
        instructions=graph.instructions,
        recommended_schedule_cron=graph.recommended_schedule_cron,
        forked_from_id=graph.forked_from_id,
        forked_from_version=graph.forked_from_version,
        created_at=created_at,
        allow_cycles=graph.allow_cycles,
        nodes=[
            NodeModel(
                id=node.id,
                block_id=node.block_id,
                input_default=node.input_default,
                metadata=node.metadata,
                input_links=into[node.id],
                output_links=out_of[node.id],
                graph_id=graph.id,
                graph_version=graph.version,
            )
            for node in graph.nodes
        ],
        links=links,
        input_schema=input_schema(graph, contracts),
        output_schema=output_schema(graph, contracts),
        has_external_trigger=not kinds.isdisjoint(TRIGGERS),
        has_human_in_the_loop=BlockKind.HUMAN_IN_THE_LOOP in kinds,
        has_sensitive_action=any(contract.sensitive for contract in used),
    )


def _link(link: Link) -> LinkModel:
    return LinkModel(
        id=link.id,
        source_id=link.source_id,
        sink_id=link.sink_id,
        source_name=link.source_name,
        sink_name=link.sink_name,
        is_static=link.is_static,
    )
