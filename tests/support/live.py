"""The API on a real port in the test's own loop, sockets to it, and runs that a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import uvicorn
from litestar import Litestar
from psycopg import AsyncConnection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.app import create_app
from api.server import Server
from api.services import Services
from blocks.catalogue import CONTRACTS
from blocks.io import AgentInput, AgentOutput
from domain import runs
from domain.events import Event
from domain.graphs import graph
from domain.graphs.files import assign_ids, read_draft
from domain.graphs.graph import VersionSaved
from domain.limits import socket_limits
from domain.runs import (
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunStats,
)
from runtime import clock, ids
from runtime.aggregates.repository import Repository
from runtime.eventlog.log import EventLog, Origin, StreamWrite
from runtime.secrets import sign_token
from runtime.settings import Settings
from tests.support.log import whole_stream
from tests.support.processes import until
from workers import relay

HOST = "127.0.0.1"
SECONDS_MAX = 15.0

LEADERS = """
SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND granted AND datname = current_database()
"""
"""Roles are held as advisory locks."""

GRAPH: dict[str, Any] = {
    "name": "Echo",
    "nodes": [
        {"id": "in", "block_id": AgentInput.id, "input_default": {"name": "city"}},
        {"id": "out", "block_id": AgentOutput.id, "input_default": {"name": "answer"}},
    ],
    "links": [{"source_id": "in", "sink_id": "out", "source_name": "result", "sink_name": "value"}],
}
"""Hands its one input back."""


class Closed(NamedTuple):
    """How a socket ended, and what came before that."""

    code: int | None
    reason: str | None
    messages: list[dict[str, Any]]


class Peer:
    """A client's end of a socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(msgspec.json.encode({"type": kind, **fields}).decode())

    async def next(self) -> dict[str, Any]:
        """The next message. Raises TimeoutError or ConnectionClosed when there is none."""
        async with asyncio.timeout(SECONDS_MAX):
            return msgspec.json.decode(await self.socket.recv(), type=dict[str, Any])

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The message that comes next after saying this."""
        await self.say(kind, **fields)
        return await self.next()

    async def until(self, kind: str) -> list[dict[str, Any]]:
        """All messages up to the first of this type."""
        messages = [await self.next()]
        while messages[-1]["type"] != kind:
            messages.append(await self.next())
        return messages

    async def closed(self) -> Closed:
        """Read to the end."""
        messages = []
        with suppress(ConnectionClosed):
            while True:
                messages.append(await self.next())
        return Closed(self.socket.close_code, self.socket.close_reason, messages)


class LiveApi:
    """The running API, and the log that it reads."""

    def __init__(self, settings: Settings, app: Litestar, server: uvicorn.Server) -> None:
        self.settings = settings
        self.services: Services = app.state.services
        self._app = app
        self.port = server.servers[0].sockets[0].getsockname()[1]
        self._server = server

    @property
    def subscriber_count(self) -> int:
        """Users who have sockets."""
        return len(self._app.state.subscriber_registry._by_user)

    @property
    def socket_count(self) -> int:
        """Sockets that are being served."""
        return len(self._server.server_state.tasks)

    def stop(self) -> None:
        """As a SIGTERM would."""
        self._server.should_exit = True

    def token(self, user_id: UUID, **changes: Any) -> str:
        return sign_token(self.settings, user_id=user_id, email="user@example.com", **changes)

    @asynccontextmanager
    async def peer(
        self, user_id: UUID, token: str | None = None, **options: Any
    ) -> AsyncIterator[Peer]:
        """A socket of this user, by default with a good token."""
        query = self.token(user_id) if token is None else token
        url = f"ws://{HOST}:{self.port}/ws/{user_id}?token={query}"
        async with connect(url, max_size=None, proxy=None, **options) as socket:
            yield Peer(socket)

    async def told(self) -> None:
        """Wait until the feed has passed on all that the log has now."""
        head = await self.services.log.read_head()
        await until(lambda: (self.services.feed.position or 0) >= head)


@asynccontextmanager
async def live_api(settings: Settings) -> AsyncIterator[LiveApi]:
    app = create_app(settings)
    server = Server(
        app, settings, host=HOST, port=0, ws_max_size=2 * socket_limits.SOCKET_MESSAGE_BYTES_MAX
    )
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started or serving.done())
    api = LiveApi(settings, app, server)
    try:
        await until(lambda: api.services.broker.is_heard)
        yield api
    finally:
        api.stop()
        await serving


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """A worker's `serve`, for as long as the block lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        while not task.done():
            # `asyncio.wait_for`, in Python 3.11, can lose a cancellation.
            task.cancel()
            await asyncio.wait([task], timeout=1)
    if not task.cancelled():
        task.result()


@asynccontextmanager
async def relaying(settings: Settings) -> AsyncIterator[None]:
    """The relay, from when it has its role."""
    assert settings.database_url is not None
    async with running(relay.serve(settings)):
        async with await AsyncConnection.connect(settings.database_url) as connection:
            while not (await connection.execute(LEADERS)).rowcount:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        yield


async def saved_graph(repository: Repository, user_id: UUID) -> VersionSaved:
    """GRAPH, saved for this user in one event, without what it takes of a quota."""
    owner, graph_id = str(user_id), str(ids.new_id())
    draft = assign_ids(read_draft(GRAPH), lambda: str(ids.new_id()), graph_id=graph_id)
    (saved,) = graph.save_version(
        None, user_id=owner, draft=draft, contracts=CONTRACTS, at=clock.now()
    )
    write = StreamWrite.of(graph.GRAPH.stream_of(graph_id), 0, [saved])
    await repository.log.append([write], Origin(owner=owner, actor=owner))
    return saved


class Script:
    """A run of GRAPH whose events the test appends when it wants, as an executor would."""

    def __init__(self, log: EventLog, graph: VersionSaved, *, repeats: int = 0) -> None:
        """With `repeats`, the first node is started that many times more."""
        assert graph.graph.id is not None
        self.run_id = str(ids.new_id())
        self.graph_id = graph.graph.id
        self.owner = graph.user_id
        nodes = {node.block_id: node.id for node in graph.graph.nodes}
        self.first, self.second = nodes[AgentInput.id], nodes[AgentOutput.id]
        self.version = 0
        self._log = log
        self._origin = Origin(owner=self.owner, actor="worker:test")
        self._left = [*self._opening(graph), *self._work(repeats)]
        self.length = len(self._left)

    def _opening(self, graph: VersionSaved) -> list[Event]:
        return [
            RunCreated(
                user_id=graph.user_id,
                graph_id=self.graph_id,
                graph_version=graph.version,
                inputs={"city": "Lyon"},
                steps_max=100,
            ),
            RunClaimed(worker="test/1"),
        ]

    def _work(self, repeats: int) -> list[Event]:
        return [
            *(NodeStarted(execution=0, node=self.first, attempt=n + 1) for n in range(repeats)),
            self._completed(0, self.first, "result"),
            self._completed(1, self.second, "output"),
            RunCompleted(stats=RunStats(steps=2, nodes_us=10)),
        ]

    def _completed(self, number: int, node: str, pin: str) -> NodeCompleted:
        return NodeCompleted(execution=number, node=node, outputs=[(pin, "Lyon")], elapsed_us=5)

    @property
    def is_over(self) -> bool:
        return not self._left

    async def go_on(self, count: int | None = None) -> None:
        """Append the next `count` events together, or all that are left."""
        events = self._left[:count]
        self._left = self._left[len(events) :]
        await self.append(*events)

    async def append(self, *events: Event) -> None:
        """Append events that the script does not have."""
        write = StreamWrite.of(runs.stream_of(self.run_id), self.version, events)
        await self._log.append([write], self._origin)
        self.version += len(events)

    async def calls(self, after: int = 0) -> list[tuple[str, int, int]]:
        """Type, version and position of the messages that the stream calls for."""
        calls = []
        for entry in await whole_stream(self._log, runs.stream_of(self.run_id), after):
            kind = KINDS.get(type(entry.event))
            if kind == "execution_started" and entry.version != FIRST_CLAIM:
                kind = "execution_continued"
            if kind is not None:
                calls.append((kind, entry.version, entry.position))
        return calls


FIRST_CLAIM = 2
KINDS: dict[type[Event], str] = {
    RunClaimed: "execution_started",
    NodeStarted: "execution_progress",
    NodeCompleted: "execution_progress",
    NodeFailed: "execution_progress",
    RunCompleted: "execution_completed",
}


def transcript(messages: Sequence[dict[str, Any]], run_id: str) -> list[tuple[str, int, int]]:
    """Of the messages about a run what `Script.calls` has."""
    return [
        (message["type"], message["version"], message["position"])
        for message in messages
        if message.get("execution_id") == run_id and "position" in message
    ]


LAST = {"execution_completed", "execution_failed", "execution_terminated"}


async def run_to_end(peer: Peer, *scripts: Script) -> list[dict[str, Any]]:
    """Everything up to where all of these runs have ended."""
    running_still = {script.run_id for script in scripts}
    messages = []
    while running_still:
        messages.append(await peer.next())
        if messages[-1]["type"] in LAST:
            running_still.discard(messages[-1]["execution_id"])
    return messages


async def subscribe(peer: Peer, run_id: str, **fields: Any) -> None:
    """Ask, and read up to the confirmation."""
    await peer.say("subscribe_execution", execution_id=run_id, **fields)
    confirmed = (await peer.until("subscription_confirmed"))[-1]
    assert confirmed["execution_id"] == run_id
    assert set(confirmed) == {"type", "execution_id", "timestamp"}
