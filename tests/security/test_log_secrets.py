"""A secret that a client sends stands in no log, however it came."""

from __future__ import annotations

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
from tests.support.cluster import HOST, Cluster

SECRET_HEADERS = ("Authorization", "Cookie", "X-Api-Key", "Idempotency-Key", "At-Least", "Host")
JSON = "application/json"


class Canary:
    """A token that a stranger signed, or one of a user, and everywhere that it can be sent."""

    def __init__(self, cluster: Cluster, token: str, user_id: UUID) -> None:
        self._url = cluster.url
        self._socket = f"ws://{HOST}:{cluster.settings.port}"
        self._user_id = user_id
        self.token = token

    async def travel(self) -> None:
        """Send it in every way."""
        async with httpx2.AsyncClient(base_url=self._url, trust_env=False) as http:
            await self._as_header(http)
            await self._in_address(http)
            await self._in_body(http)
        for path in ("/ws", "/", f"/ws/{self._user_id}", f"/ws/{ids.new_id()}", "/ws/a/b"):
            await self._over_socket(f"{path}?token={self.token}&access_token={self.token}")
        await self._over_socket(f"/ws/{self.token}?token=x")
        await self._over_socket("/ws", Authorization=f"Bearer {self.token}")

    async def _as_header(self, http: httpx2.AsyncClient) -> None:
        for name in SECRET_HEADERS:
            for value in (self.token, f"Bearer {self.token}", f"Bearer {self.token}x"):
                await http.post("/api/v1/auth/user", headers={**self._known, name: value})

    async def _in_address(self, http: httpx2.AsyncClient) -> None:
        for path in (f"/api/v1/graphs/{self.token}", f"/{self.token}", "/api/v1/graphs"):
            for query in ("", f"?token={self.token}", f"?version={self.token}"):
                await http.get(path + query, headers=self._known)

    async def _in_body(self, http: httpx2.AsyncClient) -> None:
        graph: dict[str, Any] = {"name": self.token, "nodes": [{"id": self.token}], "links": []}
        bodies = [
            msgspec.json.encode({"graph": graph}),
            msgspec.json.encode({"graph": self.token}),
            msgspec.json.encode({self.token: self.token}),
            f'{{"graph": "{self.token}'.encode(),
            self.token.encode(),
        ]
        for body in bodies:
            headers = {**self._known, "Content-Type": JSON}
            await http.post("/api/v1/graphs", content=body, headers=headers)

    async def _over_socket(self, target: str, **headers: str) -> None:
        with suppress(WebSocketException):
            async with connect(
                self._socket + target, proxy=None, additional_headers=headers
            ) as socket:
                await socket.send(self.token)
                await socket.recv()
                await socket.send(msgspec.json.encode({"type": self.token}).decode())
                await socket.recv()

    @property
    def _known(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.mark.parametrize("is_good", [True, False])
@pytest.mark.holds("S43")
async def test_no_log_has_what_a_client_keeps_secret(tmp_path: Path, is_good: bool) -> None:
    cluster, user_id = Cluster(tmp_path, {"EVERGRAPH_LOG_LEVEL": "debug"}), ids.new_id()
    async with cluster.running():
        signer = cluster.settings if is_good else Settings(jwt_verify_key=ids.new_secret())
        token = sign_token(signer, user_id=user_id, email="user@example.com")
        await Canary(cluster, token, user_id).travel()
    assert "socket.closed" in cluster.log_of("api")
    assert not list(logs_with(tmp_path, token.rpartition(".")[2]))


def logs_with(data_dir: Path, text: str) -> Iterator[Path]:
    """The logs below the folder that hold the text."""
    for log in (*data_dir.glob("*.log"), *data_dir.glob("logs/*")):
        if text in log.read_text(encoding="utf-8"):
            yield log
