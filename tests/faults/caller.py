"""A client as the promises expect it: it repeats, under the same key, what was not answered."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import httpx2

from evergraph import tokens
from runtime import ids
from runtime.settings import Settings
from tests.support.graphs import Document

PATIENCE_SECONDS = 30.0
AGAIN_SECONDS = 0.05


class Start(NamedTuple):
    """A run that was asked for, and under which key."""

    graph_id: str
    number: int
    key: str


class Caller:
    """Whatever it was told to do is done once. `started` are run ids, by how they came about."""

    def __init__(self, settings: Settings, http: httpx2.AsyncClient) -> None:
        token = tokens.token_for(settings, "caller@example.com")
        self._http = http
        self._http.headers["Authorization"] = f"Bearer {token}"
        self.started: dict[Start, str] = {}
        self._unchecked: set[Start] = set()
        self.breaks = 0
        """Requests whose connection ended before an answer."""
        self.refusals = 0
        """Requests that were answered 503."""

    async def sign_up(self) -> None:
        await self.ask("POST", "/auth/user")

    async def save(self, graph: Document) -> dict[str, Any]:
        """Store a graph and return what it became."""
        saved: dict[str, Any] = await self.ask("POST", "/graphs", {"graph": graph})
        return saved

    async def start(self, graph_id: str, number: int) -> str:
        """Start a run, however often that takes, and return its id."""
        command = Start(graph_id, number, key=str(ids.new_id()))
        run_id = await self._run_id(command)
        self.started[command] = run_id
        self._unchecked.add(command)
        return run_id

    async def check_receipts(self) -> None:
        """I9: under its key a command has one answer for ever. Asks for each of them once."""
        commands = list(self._unchecked)
        self._unchecked.clear()
        answers = await asyncio.gather(*map(self._run_id, commands))
        assert answers == [self.started[command] for command in commands]

    async def _run_id(self, command: Start) -> str:
        path = f"/graphs/{command.graph_id}/execute/1"
        run = await self.ask("POST", path, {"inputs": {"in": command.number}}, command.key)
        return str(run["id"])

    async def run(self, graph_id: str, run_id: str) -> dict[str, Any]:
        """A run in full."""
        shown: dict[str, Any] = await self.ask("GET", f"/graphs/{graph_id}/executions/{run_id}")
        return shown

    async def stop(self, graph_id: str, run_id: str) -> str:
        """Stop a run; returns how it stands then."""
        path = f"/graphs/{graph_id}/executions/{run_id}/stop"
        return str((await self.ask("POST", path))["status"])

    async def review(self, node_exec_id: str, *, approved: bool) -> None:
        """Answer what a node execution asks."""
        answer = {"node_exec_id": node_exec_id, "approved": approved}
        await self.ask("POST", "/review/action", {"reviews": [answer]})

    async def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """The answer to a request, repeated while nobody or only a 503 answers.

        Each command has a key, its own or a new one.
        """
        headers = {"Idempotency-Key": key or str(ids.new_id())} if method == "POST" else None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                answer = await self._answer(method, path, body, headers)
                if answer is not None:
                    assert answer.is_success, answer.text
                    return answer.json()
                await asyncio.sleep(AGAIN_SECONDS)

    async def status(self, method: str, path: str) -> int:
        """The status of the one answer to a request."""
        return (await self._http.request(method, path)).status_code

    async def _answer(
        self, method: str, path: str, body: Any, headers: dict[str, str] | None
    ) -> httpx2.Response | None:
        try:
            answer = await self._http.request(method, path, json=body, headers=headers)
        except httpx2.TransportError:
            self.breaks += 1
            return None
        if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            assert "Retry-After" in answer.headers
            self.refusals += 1
            return None
        return answer
