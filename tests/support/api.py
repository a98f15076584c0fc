"""A whole installation in the test's own loop, and people who call it over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import httpx2
import msgspec
from psycopg import AsyncConnection

from api.server import serve
from domain.runs import TERMINAL
from migrations.runner import migrate
from projections import freshness
from runtime import clock, ids
from runtime.embedded.nats import NatsServer
from runtime.embedded.postgres import PostgresServer
from runtime.embedded.roles import MIGRATOR
from runtime.eventlog.log import EventLog, opened
from runtime.eventlog.reader import read_head
from runtime.secrets import sign_token
from runtime.settings import Settings
from tests.support import tasks
from tests.support.databases import in_database
from tests.support.graphs import Document, agent, echo
from tests.support.live import running
from tests.support.served import is_served
from workers import executor, projector, relay, sweeper

EMAIL = "user@example.com"
LOOPBACK = (ip_network("127.0.0.0/8"),)
SECONDS_MAX = 20.0
UNFINISHED = "SELECT FROM read.runs WHERE ended_at IS NULL"
WORKERS = (relay, projector, executor, sweeper)


class Saved(NamedTuple):
    """A graph as the API answered it; `ids` are its nodes' new ids by the old ones."""

    graph_id: str
    version: int
    ids: Mapping[str, str]
    model: Document

    @property
    def path(self) -> str:
        return f"/api/v1/graphs/{self.graph_id}"

    @property
    def execute_path(self) -> str:
        return f"{self.path}/execute/{self.version}"

    def run_path(self, run_id: str) -> str:
        return f"{self.path}/executions/{run_id}"


class Outcome(NamedTuple):
    """A run that has ended, with its node executions by the node's old id."""

    run: Document
    executions: Mapping[str, Sequence[Document]]

    @property
    def status(self) -> str:
        return str(self.run["status"])

    @property
    def outputs(self) -> dict[str, list[Any]]:
        return dict(self.run["outputs"])

    def inputs(self, name: str) -> list[Document]:
        """What the executions of a node were given, in the order in which they became ready."""
        queued = [e for e in self.executions[name] if e["queue_time"] is not None]
        return [execution["input_data"] for execution in queued]

    def statuses(self, name: str) -> list[str]:
        return [execution["status"] for execution in self.executions.get(name, ())]

    def children(self, name: str) -> list[str]:
        """The runs that the executions of a node have become so far."""
        ids = [execution["child_execution_id"] for execution in self.executions.get(name, ())]
        return [run_id for run_id in ids if run_id]

    def only(self, name: str) -> Document:
        """The one execution of a node."""
        (execution,) = self.executions[name]
        return execution


class Caller:
    """Somebody with a token."""

    def __init__(self, http: httpx2.AsyncClient, user_id: UUID, token: str) -> None:
        self._http = http
        self.user_id = user_id
        self.headers = {"Authorization": f"Bearer {token}"}

    async def request(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx2.Response:
        """One request. Bytes go as they are, other bodies as JSON; headers have underscores."""
        is_raw = isinstance(body, bytes | AsyncIterator | None)
        content = body if is_raw else msgspec.json.encode(body)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if content is not None:
            sent = {"Content-Type": "application/json", **sent}
        return await self._http.request(
            method, path, content=content, headers={**self.headers, **sent}
        )

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.request("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        return await self.request("POST", path, body, **headers)

    async def put(self, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        return await self.request("PUT", path, body, **headers)

    async def read(self, path: str, **headers: str) -> Any:
        """The answer to a GET that succeeds."""
        return answered(await self.get(path, **headers))

    async def save(self, document: Document, **members: Any) -> Saved:
        """Create a graph, which has to succeed."""
        body = {"graph": document, **members}
        return saved(answered(await self.post("/api/v1/graphs", body)), document)

    async def start(self, graph: Saved, inputs: Document | None = None, **members: Any) -> str:
        """Start a run, which has to succeed. Returns its id."""
        body = {"inputs": inputs or {}, **members}
        return str(answered(await self.post(graph.execute_path, body))["id"])

    async def command(self, graph: Saved, run_id: str, name: str, body: Any = None) -> Document:
        """Say something to a run, such as `stop`, which has to succeed."""
        path = f"{graph.run_path(run_id)}/{name}"
        answer: Document = answered(await self.post(path, body))
        return answer

    async def see(self, graph: Saved, run_id: str, **query: Any) -> Outcome:
        """A run as it is, or as the query wants it, with all its node executions."""
        path = f"{graph.run_path(run_id)}?{urlencode(query)}"
        run = await self.read(path)
        executions = run["node_executions"]
        while (after := run["next_after"]) is not None:
            run = await self.read(f"{path}&after={after}")
            executions += run["node_executions"]
        return outcome({**run, "node_executions": executions}, graph)

    async def until(
        self, graph: Saved, run_id: str, condition: Callable[[Outcome], object]
    ) -> Outcome:
        """Wait until `condition` holds of the run, and return it as it was then."""

        async def seen() -> Outcome | None:
            found = await self.see(graph, run_id)
            return found if condition(found) else None

        reached: Outcome = await eventually(seen)
        return reached

    async def ended(self, graph: Saved, run_id: str) -> Outcome:
        """Wait until the run has ended."""

        async def has_ended() -> bool:
            run = await self.read(f"{graph.run_path(run_id)}?limit=1")
            return run["status"] in TERMINAL

        await eventually(has_ended)
        return await self.see(graph, run_id)

    async def run(
        self, document: Document, inputs: Document | None = None, **members: Any
    ) -> Outcome:
        """Upload a graph, which so may have cycles, and run it to its end."""
        graph = await self.save(document, source="upload")
        return await self.ended(graph, await self.start(graph, inputs, **members))


class Platform:
    """An installation whose processes are tasks of the test's loop, and its log."""

    def __init__(self, settings: Settings, log: EventLog, http: httpx2.AsyncClient) -> None:
        self.settings = settings
        self.log = log
        self.http = http

    def caller(self, user_id: UUID | None = None, **claims: Any) -> Caller:
        """Somebody with a good token who has not registered yet."""
        own_id = user_id or ids.new_id()
        token = sign_token(self.settings, user_id=own_id, **{"email": EMAIL, **claims})
        return Caller(self.http, own_id, token)

    async def user(self) -> Caller:
        """Somebody new who has registered, and so has credits."""
        caller = self.caller()
        answered(await caller.post("/api/v1/auth/user"))
        return caller

    async def head(self) -> int:
        """The last position of the log."""
        return await self.log.read_head()

    async def at_rest(self) -> int:
        """The last position of the log, once every run has ended and nothing more will come."""

        async def suspended() -> tuple[int] | None:
            async with self.log.pool.connection() as connection:
                head = await read_head(connection)
                if await freshness.position(connection) < head:
                    return None
                unfinished = await connection.execute(UNFINISHED)
                return (head,) if unfinished.rowcount == 0 else None

        (head,) = await eventually(suspended)
        return int(head)


@asynccontextmanager
async def platform(
    server: PostgresServer, data_dir: Path, *, workers: bool = True, **changes: Any
) -> AsyncIterator[Platform]:
    """An installation with a database and a broker that nobody else uses."""
    url = await _new_database(server)
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(NatsServer(data_dir))
        settings = Settings(
            database_url=url, nats_url=broker.url, data_dir=data_dir, egress_allow=LOOPBACK
        )
        settings = msgspec.structs.replace(settings, **changes)
        for worker in WORKERS if workers else ():
            await stack.enter_async_context(running(worker.serve(settings)))
        log = await stack.enter_async_context(opened(url, "test"))
        http = await stack.enter_async_context(api(settings))
        yield Platform(settings, log, http)


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """One API process more, on a port of its own."""
    port = free_port()
    async with (
        running(serve(msgspec.structs.replace(settings, port=port))),
        httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=SECONDS_MAX, trust_env=False
        ) as http,
    ):
        await eventually(partial(is_served, http))
        yield http


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = SECONDS_MAX) -> Any:
    """The first truthy answer of `condition`. Raises AssertionError when it takes too long."""
    deadline = clock.monotonic() + seconds
    while not (found := await condition()):
        if clock.monotonic() >= deadline:
            print(tasks.waiting())
            raise AssertionError(f"not within {seconds} s: {condition}")
        await asyncio.sleep(0.005)
    return found


def answered(response: httpx2.Response, status: int = 200) -> Any:
    """The body of an answer with this status."""
    assert response.status_code == status, response.text
    return msgspec.json.decode(response.content)


def saved(model: Document, document: Document) -> Saved:
    """A graph that was sent as `document` and answered as `model`."""
    sent = [node["id"] for node in document["nodes"]]
    kept = [node["id"] for node in model["nodes"]]
    return Saved(model["id"], model["version"], dict(zip(sent, kept, strict=True)), model)


async def inside_itself(user: Caller, document: Document, name: str) -> Saved:
    """A graph whose node of this name, an echo until then, is the graph itself."""
    echoing = await user.save(echo())
    others = [one for one in document["nodes"] if one["id"] != name]
    first = await user.save({**document, "nodes": [*others, agent(name, echoing.model)]})
    whole = {**document, "nodes": [*others, agent(name, {**first.model, "version": 2})]}
    return saved(answered(await user.put(first.path, whole)), whole)


def outcome(run: Document, graph: Saved) -> Outcome:
    names = {node_id: name for name, node_id in graph.ids.items()}
    executions: defaultdict[str, list[Document]] = defaultdict(list)
    for execution in run["node_executions"]:
        executions[names[execution["node_id"]]].append(execution)
    return Outcome(run, executions)


async def _new_database(server: PostgresServer) -> str:
    name = f"platform_{ids.new_id().hex}"
    async with await AsyncConnection.connect(server.superuser_url, autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {name} OWNER {MIGRATOR}")
    await migrate(in_database(server.migration_url, name))
    return in_database(server.url, name)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
