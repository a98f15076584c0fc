from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from domain.errors import NotFound
from domain.graphs import graph as graphs
from domain.graphs.files import GraphDraft, Node
from domain.graphs.graph import Graph, GraphSettings, VersionSaved
from tests.domain.graphs.given import CONTRACTS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def draft(name: str, *, is_active: bool = True, blocks: tuple[str, ...] = ("join",)) -> GraphDraft:
    nodes = tuple(Node(block, block) for block in blocks)
    return GraphDraft(id="g", name=name, is_active=is_active, nodes=nodes)


def save(graph: Graph | None, saved: GraphDraft) -> VersionSaved:
    (event,) = graphs.save_version(graph, user_id="ada", draft=saved, contracts=CONTRACTS, at=NOON)
    return event


def history(*drafts: GraphDraft) -> Graph:
    graph: Graph | None = None
    for saved in drafts:
        graph = graphs.evolve(graph, save(graph, saved))
    assert graph is not None
    return graph


def test_versions_count_from_one() -> None:
    graph = history(draft("a"), draft("b"), draft("c"))
    assert (graph.graph_id, graph.user_id, graph.active_version) == ("g", "ada", 3)
    assert {number: v.name for number, v in graph.versions.items()} == {
        1: "a",
        2: "b",
        3: "c",
    }
    assert graph.latest.version == graph.latest.place == graph.length == 3


def test_a_version_that_is_not_active_leaves_the_active_one() -> None:
    graph = history(draft("a"), draft("b", is_active=False))
    assert (graph.active_version, graph.latest.version) == (1, 2)
    assert graph.version(None).name == "a"
    assert graph.version(2).name == "b"
    assert history(draft("a"), draft("b", is_active=False), draft("c")).active_version == 3


def test_the_first_version_is_active_whatever_it_says() -> None:
    assert history(draft("a", is_active=False)).active_version == 1


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_version_that_does_not_exist(number: int) -> None:
    with pytest.raises(NotFound, match=f"Graph g has no version {number}"):
        history(draft("a"), draft("b")).version(number)


def test_a_version_keeps_the_contracts_that_it_uses() -> None:
    saved = save(None, draft("a", blocks=("join", "input")))
    assert saved.contracts == {name: CONTRACTS[name] for name in ("join", "input")}


def test_a_saved_version_is_read_as_it_was_written() -> None:
    saved = save(None, draft("a", blocks=("join", "output")))
    assert msgspec.json.decode(msgspec.json.encode(saved), type=VersionSaved) == saved


def test_settings_are_those_of_the_contract_until_they_are_changed() -> None:
    graph = history(draft("a"))
    assert graph.settings == GraphSettings(
        human_in_the_loop_safe_mode=True, sensitive_action_safe_mode=False
    )
    cautious = GraphSettings(sensitive_action_safe_mode=True)
    (event,) = graphs.change_settings(graph, cautious)
    changed = graphs.evolve(graph, event)
    assert changed is not None
    assert changed.settings == cautious
    assert graphs.change_settings(changed, cautious) == []


def test_settings_hold_for_every_version() -> None:
    graph = history(draft("a"))
    trusting = GraphSettings(human_in_the_loop_safe_mode=False)
    for event in (*graphs.change_settings(graph, trusting), save(graph, draft("b"))):
        graph = graphs.evolve(graph, event) or graph
    assert (graph.active_version, graph.settings) == (2, trusting)
    assert {v.version: v.place for v in graph.versions.values()} == {1: 1, 2: 3}


def test_a_graph_has_a_stream_of_its_own() -> None:
    assert graphs.GRAPH.stream_of("g") == "graph-g"
