"""How long an answer takes tells nobody what there is: S10."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
import pytest_asyncio

from domain.events import Event
from domain.graphs.graph import GRAPH, VersionSaved
from domain.runs import RunClaimed, stream_of
from runtime import clock, ids
from runtime.aggregates.repository import Repository
from runtime.embedded.postgres import PostgresServer
from runtime.eventlog.log import Origin, StreamWrite
from tests.support.api import Caller, Platform, platform
from tests.support.live import Script, saved_graph

DISTANCE = 3.0
"""An answer about what is foreign may take so many times as long as one about what is not there;
the shortest of each, as others use the machine too."""
TIMES = 8
VERSIONS = 300
VERSION_CHARS = 20_000
CLAIMS = 4_000
PORTION = 200
COMMANDS = ("stop", "pause", "resume", "retry", "fork")


class Foreign(NamedTuple):
    """Somebody's graphs of many versions, of which each is asked for once, and a long run."""

    graph_ids: Sequence[str]
    graph_id: str
    run_id: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def still(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """An installation in which nobody but the test does anything."""
    async with platform(postgres, tmp_path_factory.mktemp("still"), workers=False) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def foreign(still: Platform) -> Foreign:
    owner = ids.new_id()
    origin = Origin(owner=str(owner), actor=str(owner))

    async def write(stream: str, after: int, events: Sequence[Event], portion: int) -> None:
        for start in range(0, len(events), portion):
            some = events[start : start + portion]
            await still.log.append([StreamWrite.of(stream, after + start, some)], origin)

    repository = Repository(still.log)
    graphs = [await saved_graph(repository, owner) for _ in range(TIMES + 1)]
    for graph in graphs[:-1]:
        stream = GRAPH.stream_of(str(graph.graph.id))
        await write(stream, 1, [version(graph, n) for n in range(2, VERSIONS + 1)], PORTION)
    script = Script(still.log, graphs[-1])
    await script.go_on(1)
    claims = [RunClaimed(worker="test/1")] * CLAIMS
    await write(stream_of(script.run_id), 1, claims, 1_000)
    return Foreign([str(graph.graph.id) for graph in graphs[:-1]], script.graph_id, script.run_id)


def version(saved: VersionSaved, number: int) -> VersionSaved:
    graph = msgspec.structs.replace(saved.graph, description="x" * VERSION_CHARS)
    return msgspec.structs.replace(saved, version=number, graph=graph)


async def seconds_of(caller: Caller, method: str, path: str, body: Any) -> float:
    began = clock.monotonic()
    assert (await caller.request(method, path, body)).status_code == 404
    return clock.monotonic() - began


@pytest.mark.holds("S10")
async def test_a_foreign_graph_is_refused_as_soon_as_none(
    still: Platform, foreign: Foreign
) -> None:
    stranger = await still.user()
    known: list[float] = []
    unknown: list[float] = []
    for graph_id in foreign.graph_ids:
        for found, name in ((known, graph_id), (unknown, str(ids.new_id()))):
            found.append(await seconds_of(stranger, "GET", f"/api/v1/graphs/{name}", None))
    assert min(known) < DISTANCE * min(unknown)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.holds("S10")
async def test_a_foreign_run_is_refused_as_soon_as_none(
    still: Platform, foreign: Foreign, command: str
) -> None:
    stranger = await still.user()
    body = {"version": 1} if command == "fork" else None
    known: list[float] = []
    unknown: list[float] = []
    for _ in range(TIMES):
        for found, name in ((known, foreign.run_id), (unknown, str(ids.new_id()))):
            path = f"/api/v1/graphs/{foreign.graph_id}/executions/{name}/{command}"
            found.append(await seconds_of(stranger, "POST", path, body))
    assert min(known) < DISTANCE * min(unknown)
