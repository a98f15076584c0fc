"""Graphs: what a user builds. Every saved version stays, with the contracts it relied upon."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from domain.aggregates import Aggregate
from domain.contracts import BlockContract
from domain.errors import NotFound
from domain.events import Event, decode, event, unexpected
from domain.graphs.files import GraphDraft
from domain.states import State


@event("graphs.VersionSaved")
class VersionSaved(Event, frozen=True):
    """A version of a graph. `contracts` are those of its blocks, by block id, as they were."""

    user_id: str
    version: int
    graph: GraphDraft
    contracts: dict[str, BlockContract]
    at: datetime


@event("graphs.SettingsChanged")
class SettingsChanged(Event, frozen=True):
    """How runs of the graph behave from now on; all settings, changed or not."""

    human_in_the_loop_safe_mode: bool = True
    sensitive_action_safe_mode: bool = False


class GraphSettings(msgspec.Struct, frozen=True):
    """How new runs of a graph behave, whatever the version.

    Without `human_in_the_loop_safe_mode` nodes that ask a person take a yes for granted; with
    `sensitive_action_safe_mode` nodes that act with consequences ask first.
    """

    human_in_the_loop_safe_mode: bool = True
    sensitive_action_safe_mode: bool = False


class GraphVersion(msgspec.Struct, frozen=True):
    """What is known of a version without reading it: it is the event at version `place` of the
    graph's stream.
    """

    version: int
    place: int
    name: str
    allow_cycles: bool
    created_at: datetime


VERSION_BYTES = 1_000
"""What that takes in memory."""


class Graph(State, frozen=True):
    """A graph with all its versions; `active_version` is what runs when none is named.

    `length` is how many events its stream has.
    """

    graph_id: str
    user_id: str
    versions: Mapping[int, GraphVersion]
    active_version: int
    length: int
    settings: GraphSettings = GraphSettings()

    @property
    def weight(self) -> int:
        return VERSION_BYTES * (len(self.versions) + 1)

    @property
    def latest(self) -> GraphVersion:
        return self.versions[max(self.versions)]

    def version(self, number: int | None) -> GraphVersion:
        """One version, by default the active one. Raises NotFound."""
        found = self.versions.get(self.active_version if number is None else number)
        if found is None:
            raise NotFound(f"Graph {self.graph_id} has no version {number}")
        return found


def evolve(graph: Graph | None, happened: Event) -> Graph | None:
    """The graph after one more event of the stream."""
    if isinstance(happened, SettingsChanged):
        assert graph is not None, "a graph's stream begins with its first version"
        settings = GraphSettings(**msgspec.structs.asdict(happened))
        return msgspec.structs.replace(graph, settings=settings, length=graph.length + 1)
    if not isinstance(happened, VersionSaved):
        raise unexpected(happened, "a graph")
    length = 1 if graph is None else graph.length + 1
    saved = GraphVersion(
        version=happened.version,
        place=length,
        name=happened.graph.name,
        allow_cycles=happened.graph.allow_cycles,
        created_at=happened.at,
    )
    if graph is None:
        assert happened.graph.id is not None
        return Graph(
            graph_id=happened.graph.id,
            user_id=happened.user_id,
            versions={saved.version: saved},
            active_version=saved.version,
            length=length,
        )
    return msgspec.structs.replace(
        graph,
        versions={**graph.versions, saved.version: saved},
        active_version=saved.version if happened.graph.is_active else graph.active_version,
        length=length,
    )


GRAPH: Aggregate[Graph | None] = Aggregate(
    "graph", None, evolve, noun="Graph", owner=lambda graph: graph.user_id
)


def saved(topic: str, state: bytes) -> VersionSaved:
    """The version in an event that was read by its place."""
    found = decode(topic, state)
    assert isinstance(found, VersionSaved), "a version stands where the fold met it"
    return found


def save_version(
    graph: Graph | None,
    *,
    user_id: str,
    draft: GraphDraft,
    contracts: Mapping[str, BlockContract],
    at: datetime,
) -> list[VersionSaved]:
    """Store a checked draft as the next version."""
    version = 1 if graph is None else graph.latest.version + 1
    used = {node.block_id: contracts[node.block_id] for node in draft.nodes}
    return [
        VersionSaved(
            user_id=user_id,
            version=version,
            graph=msgspec.structs.replace(draft, version=version),
            contracts=used,
            at=at,
        )
    ]


def change_settings(graph: Graph, settings: GraphSettings) -> list[Event]:
    """Let new runs of the graph behave otherwise; nothing happens when they already do."""
    if settings == graph.settings:
        return []
    return [SettingsChanged(**msgspec.structs.asdict(settings))]
