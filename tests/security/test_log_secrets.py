"""A secret that a client sends stands in no log, however it came."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from runtime import ids
from runtime.secrets import sign_token
from runtime.settings import Settings
from tests.support import plugin_blocks
from tests.support.api import Caller, answered
from tests.support.cluster import HOST, Cluster
from tests.support.graphs import agent_output, graph, node
from tests.support.plugin import plugin_path, write_plugin

HEADERS = ("Authorization", "Cookie", "X-Api-Key", "Idempotency-Key", "At-Least", "Host", "Origin")
PATHS = ("/", "/api/v1/graphs/", "/api/v1/values/", "/api/v1/nowhere/", "/schema-assets/")
UPGRADE = (
    "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
LINE_BYTES_MAX = 300
"""Of the log, about a stranger."""


class Canary:
    """A secret, who sends it, and everywhere that it can be sent."""

    def __init__(self, cluster: Cluster, user_id: UUID, token: str, secret: str) -> None:
        self._port = cluster.settings.port
        self._url = cluster.url
        self._user_id = user_id
        self._token = token
        self._known = {"Authorization": f"Bearer {token}"}
        self.secret = secret

    async def travel(self) -> None:
        """Send it in every way."""
        async with httpx2.AsyncClient(base_url=self._url, trust_env=False) as http:
            await self._as_header(http)
            await self._in_address(http)
            await self._in_body(http)
        await self._as_no_request()
        await self._in_handshake()
        await self._as_message()

    async def _as_header(self, http: httpx2.AsyncClient) -> None:
        for name in HEADERS:
            for value in (self.secret, f"Bearer {self.secret}", f"Bearer {self.secret}x"):
                await http.post("/api/v1/auth/user", headers={**self._known, name: value})

    async def _in_address(self, http: httpx2.AsyncClient) -> None:
        for path in PATHS:
            for query in ("", f"?token={self.secret}", f"?version={self.secret}"):
                await http.get(f"{path}{self.secret}{query}", headers=self._known)
                await http.get(f"{path}{query}", headers=self._known)

    async def _in_body(self, http: httpx2.AsyncClient) -> None:
        model: dict[str, Any] = {"name": self.secret, "nodes": [{"id": self.secret}], "links": []}
        bodies = [
            msgspec.json.encode({"graph": model}),
            msgspec.json.encode({"graph": self.secret}),
            msgspec.json.encode({self.secret: self.secret}),
            f'{{"graph": "{self.secret}'.encode(),
            self.secret.encode(),
        ]
        for body in bodies:
            headers = {**self._known, "Content-Type": "application/json"}
            await http.post("/api/v1/graphs", content=body, headers=headers)

    async def _as_no_request(self) -> None:
        for line in (
            self.secret,
            f"GET /{self.secret} HTTP/9.9",
            f"{self.secret} / HTTP/1.1",
            f"GET /ws/{self.secret}\xff HTTP/1.1\r\n{UPGRADE}",
            f"GET /ws/{self.secret} HTTP/1.1\r\n{UPGRADE}Sec-WebSocket-Extensions: {self.secret};;",
        ):
            reader, writer = await asyncio.open_connection(HOST, self._port)
            writer.write(f"{line}\r\n\r\n".encode("latin-1"))
            writer.write_eof()
            with suppress(ConnectionError):
                await reader.read()
            writer.close()

    async def _in_handshake(self) -> None:
        names = (self.secret, f"{self.secret * 100}", self._user_id, ids.new_id())
        for path in ("/ws", "/", "/ws/a/b", *(f"/ws/{name}" for name in names)):
            for token in (self.secret, self._token):
                await self._over_socket(f"{path}?token={token}&access_token={self.secret}")
        for name in HEADERS:
            await self._over_socket(self._own_socket, **{name: self.secret})

    async def _as_message(self) -> None:
        await self._over_socket(self._own_socket, self.secret)
        for kind in ("subscribe_execution", "execution_status", "graph_update", self.secret):
            for field in ("execution_id", "graph_id", "after_version", self.secret):
                message = msgspec.json.encode({"type": kind, field: self.secret})
                await self._over_socket(self._own_socket, message.decode())

    async def _over_socket(
        self, target: str, message: str = '{"type": "ping"}', **headers: str
    ) -> None:
        with suppress(WebSocketException):
            async with connect(
                f"ws://{HOST}:{self._port}{target}", proxy=None, additional_headers=headers
            ) as socket:
                await socket.send(message)
                await socket.recv()

    @property
    def _own_socket(self) -> str:
        return f"/ws/{self._user_id}?token={self._token}"


async def fail_with(secret: str, cluster: Cluster, caller: Caller) -> None:
    """Have a block of somebody else's raise an error that quotes it."""
    quoting = node("quote", plugin_blocks.QuotesItsInput, value=secret)
    saved = await caller.save(graph(quoting, agent_output("y"), links="quote.output > y.value"))
    ended = await caller.ended(saved, await caller.start(saved))
    assert secret in str(ended.only("quote"))
    assert "node.raised" in cluster.log_of("executor-1")


@pytest.mark.holds("S43")
async def test_no_log_has_what_a_client_keeps_secret(tmp_path: Path) -> None:
    """Neither a token, of which the look is known, nor what looks like anything else."""
    write_plugin(tmp_path / "plugins", [plugin_blocks.__name__])
    environ = {"EVERGRAPH_LOG_LEVEL": "debug", "PYTHONPATH": plugin_path(tmp_path / "plugins")}
    data_dir, user_id = tmp_path / "data", ids.new_id()
    data_dir.mkdir()
    cluster = Cluster(data_dir, environ)
    async with cluster.running():
        stranger = Settings(jwt_verify_key=ids.new_secret())
        good, forged = (
            sign_token(signer, user_id=user_id, email="user@example.com")
            for signer in (cluster.settings, stranger)
        )
        opaque = {good: f"a-{ids.new_id().hex}", forged: f"b-{ids.new_id().hex}"}
        for token in (good, forged):
            await Canary(cluster, user_id, token, token).travel()
            await Canary(cluster, user_id, token, opaque[token]).travel()
        quoted = f"c-{ids.new_id().hex}"
        async with httpx2.AsyncClient(base_url=cluster.url, trust_env=False) as http:
            caller = Caller(http, user_id, good)
            answered(await caller.post("/api/v1/auth/user"))
            await fail_with(quoted, cluster, caller)
    for secret in (*opaque.values(), quoted, *(t.rpartition(".")[2] for t in (good, forged))):
        assert not list(logs_with(data_dir, secret)), secret
    refused = [line for line in cluster.log_of("api").splitlines() if "socket.refused" in line]
    assert refused
    assert max(map(len, refused)) < LINE_BYTES_MAX


def logs_with(data_dir: Path, text: str) -> Iterator[Path]:
    """The logs below the folder that hold the text."""
    for log in (*data_dir.glob("*.log"), *data_dir.glob("logs/*")):
        if text in log.read_text(encoding="utf-8"):
            yield log
