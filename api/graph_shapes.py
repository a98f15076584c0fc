"""A graph in the contract's shapes (spec/2-http-contract.md, "Graph")."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from domain.contracts import BlockContract
from domain.graph_checks import input_schema, output_schema
from domain.graph_files import GraphDraft, Link, Node
from domain.graphs import Graph, GraphVersion, VersionSaved
from projections.graphs import GraphRow

Shown = dict[str, Any]


def graph_meta(row: GraphRow) -> Shown:
    """GraphMeta."""
    return {
        "id": row.graph_id,
        "version": row.version,
        "is_active": True,
        "name": row.name,
        **row.meta,
        "user_id": row.user_id,
        "created_at": row.created_at,
    }


def graph_model(graph: Graph, version: GraphVersion, *, for_export: bool = False) -> Shown:
    """GraphModel of a version. An export names no user and carries no secret value."""
    model = _model(
        version.graph,
        version.contracts,
        user_id=graph.user_id,
        is_active=version.version == graph.active_version,
        created_at=version.created_at,
    )
    if for_export:
        for node in model["nodes"]:
            node["input_default"] = _without_secrets(node, version.contracts[node["block_id"]])
        del model["user_id"]
    return model


def saved_model(saved: VersionSaved) -> Shown:
    """GraphModel of a version that was stored just now."""
    return _model(
        saved.graph,
        saved.contracts,
        user_id=saved.user_id,
        is_active=saved.graph.is_active or saved.version == 1,
        created_at=saved.at,
    )


def _model(
    graph: GraphDraft,
    contracts: Mapping[str, BlockContract],
    *,
    user_id: str,
    is_active: bool,
    created_at: datetime,
) -> Shown:
    return {
        "id": graph.id,
        "version": graph.version,
        "is_active": is_active,
        "name": graph.name,
        "description": graph.description,
        "instructions": graph.instructions,
        "recommended_schedule_cron": graph.recommended_schedule_cron,
        "forked_from_id": graph.forked_from_id,
        "forked_from_version": graph.forked_from_version,
        "allow_cycles": graph.allow_cycles,
        "user_id": user_id,
        "created_at": created_at,
        "nodes": [_node(node, graph) for node in graph.nodes],
        "links": [_link(link) for link in graph.links],
        "sub_graphs": [],
        "input_schema": input_schema(graph, contracts),
        "output_schema": output_schema(graph, contracts),
        "credentials_input_schema": {"type": "object", "properties": {}, "required": []},
        "has_external_trigger": False,
        "has_human_in_the_loop": False,
        "has_sensitive_action": False,
        "trigger_setup_info": None,
    }


def _node(node: Node, graph: GraphDraft) -> Shown:
    return {
        "id": node.id,
        "block_id": node.block_id,
        "input_default": node.input_default,
        "metadata": node.metadata,
        "input_links": [_link(link) for link in graph.links if link.sink_id == node.id],
        "output_links": [_link(link) for link in graph.links if link.source_id == node.id],
        "graph_id": graph.id,
        "graph_version": graph.version,
        "webhook_id": None,
    }


def _link(link: Link) -> Shown:
    shown: Shown = msgspec.to_builtins(link)
    return {**shown, "is_static": link.is_static}


def _without_secrets(node: Shown, contract: BlockContract) -> Shown:
    if node["input_default"].get("secret"):
        return {**node["input_default"], "value": None}
    return {
        pin: value
        for pin, value in node["input_default"].items()
        if not contract.inputs.get(pin, {}).get("secret")
    }
