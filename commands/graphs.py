"""Graphs: checked, then stored as versions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from domain import storage
from domain.contracts import BlockContract
from domain.errors import Invalid
from domain.graphs import graph
from domain.graphs.checks import check_structure, static_links
from domain.graphs.files import GraphDraft, assign_ids, read_draft
from domain.graphs.graph import GRAPH, Graph, GraphSettings, VersionSaved
from domain.storage import DEFAULT, STORAGE, Quota, Storage
from runtime import clock, ids
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Decision, Done, Loaded, Repository, new


async def create(
    repository: Repository,
    context: CommandContext,
    *,
    document: Any,
    source: str | None,
    contracts: Mapping[str, BlockContract],
    quota: Quota = DEFAULT,
) -> Done[VersionSaved]:
    """Store a graph under a new id, as version 1. An uploaded one may have cycles.

    Raises Invalid, GraphInvalid or QuotaExceeded.
    """
    draft = read_draft(document)
    if source == "upload":
        draft = _with_cycles(draft)
    # Checked under the caller's own ids, so that errors name nodes that the caller knows.
    draft = assign_ids(_checked(draft, contracts), _new_id, graph_id=None)
    assert draft.id is not None
    nothing = new(GRAPH, draft.id)

    async def decide() -> Decision[VersionSaved]:
        stored = await repository.load(STORAGE, context.owner)
        return _save(nothing, context, draft, contracts, stored=stored, quota=quota)

    return await repository.execute(context, decide, VersionSaved)


async def save_version(
    repository: Repository,
    context: CommandContext,
    *,
    graph_id: str,
    document: Any,
    contracts: Mapping[str, BlockContract],
    quota: Quota = DEFAULT,
) -> Done[VersionSaved]:
    """Store the next version of a graph.

    Raises NotFound, Invalid, GraphInvalid or QuotaExceeded.
    """
    draft = read_draft(document)
    if draft.id and draft.id != graph_id:
        raise Invalid("Graph ID does not match ID in URI")

    async def decide() -> Decision[VersionSaved]:
        loaded, stored = await asyncio.gather(
            repository.load_owned(GRAPH, graph_id, context.owner),
            repository.load(STORAGE, context.owner),
        )
        # A graph that was uploaded with cycles stays editable.
        allowed = draft.allow_cycles or loaded.state.latest.allow_cycles
        checked = _checked(_with_cycles(draft) if allowed else draft, contracts)
        renamed = assign_ids(checked, _new_id, graph_id=graph_id)
        return _save(loaded, context, renamed, contracts, stored=stored, quota=quota)

    return await repository.execute(context, decide, VersionSaved)


async def change_settings(
    repository: Repository,
    context: CommandContext,
    *,
    graph_id: str,
    human_in_the_loop_safe_mode: bool | None = None,
    sensitive_action_safe_mode: bool | None = None,
) -> Done[GraphSettings]:
    """Change how new runs of a graph behave; None leaves a setting as it is. Raises NotFound."""
    given = {
        "human_in_the_loop_safe_mode": human_in_the_loop_safe_mode,
        "sensitive_action_safe_mode": sensitive_action_safe_mode,
    }
    changes = {name: value for name, value in given.items() if value is not None}

    async def decide() -> Decision[GraphSettings]:
        loaded = await repository.load_owned(GRAPH, graph_id, context.owner)
        settings = msgspec.structs.replace(loaded.state.settings, **changes)
        events = graph.change_settings(loaded.state, settings)
        return Decision(writes=loaded.write(events), answer=settings)

    return await repository.execute(context, decide, GraphSettings)


def _checked(draft: GraphDraft, contracts: Mapping[str, BlockContract]) -> GraphDraft:
    check_structure(draft, contracts, allow_cycles=draft.allow_cycles)
    return static_links(draft, contracts)


def _with_cycles(draft: GraphDraft) -> GraphDraft:
    return msgspec.structs.replace(draft, allow_cycles=True)


def _new_id() -> str:
    return str(ids.new_id())


def _save(
    loaded: Loaded[Graph | None] | Loaded[Graph],
    context: CommandContext,
    draft: GraphDraft,
    contracts: Mapping[str, BlockContract],
    *,
    stored: Loaded[Storage],
    quota: Quota,
) -> Decision[VersionSaved]:
    (saved,) = graph.save_version(
        loaded.state, user_id=context.owner, draft=draft, contracts=contracts, at=clock.now()
    )
    (write,) = loaded.write([saved])
    assert draft.id is not None
    storing = storage.store_version(
        stored.state, quota, graph_id=draft.id, version=saved.version, size=write.size
    )
    return Decision(
        writes=[*stored.write(storing), write],
        answer=saved,
        after=stored.after(storing),
    )
