"""What a user needs in order to be a nuisance: an account, and a server that answers badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2

from benchmarks.load.installation import HOST
from blocks.contract import Block

Document = dict[str, Any]

PATIENCE_SECONDS = 120.0


class Nuisance(NamedTuple):
    """A user of the installation at `port`. `service` is the address of a server of theirs."""

    http: httpx2.AsyncClient
    port: int
    user_id: str
    token: str
    service: str

    async def save(self, graph: Document) -> Document:
        """Save a graph; raises httpx2.HTTPStatusError when it is refused."""
        answer = await self.http.post("/graphs", json={"graph": graph})
        answer.raise_for_status()
        return dict(answer.json())

    async def start(self, graph_id: str, **members: Any) -> str | None:
        """Start a run of a graph and return its id, None when it is refused."""
        answer = await self.http.post(f"/graphs/{graph_id}/execute/1", json=members)
        return str(answer.json()["id"]) if answer.status_code == httpx2.codes.OK else None

    async def run_over_and_over(self, graph: Document, pause_seconds: float = 0.1) -> None:
        """Start runs of a graph for ever, as many as are taken."""
        saved = await self.save(graph)
        while True:
            await self.start(saved["id"])
            await asyncio.sleep(pause_seconds)


@asynccontextmanager
async def nuisance(port: int, token: str) -> AsyncIterator[Nuisance]:
    """Sign up, and serve bad answers inside the block."""
    server = await asyncio.start_server(_answer_badly, HOST, 0)
    service = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        server,
        httpx2.AsyncClient(
            base_url=f"http://{HOST}:{port}/api/v1",
            headers=headers,
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        ) as http,
    ):
        signed_up = (await http.post("/auth/user")).raise_for_status()
        yield Nuisance(http, port, signed_up.json()["id"], token, service)


def graph(nodes: list[Document], links: list[Document] | None = None) -> Document:
    return {"name": "nuisance", "description": "", "nodes": nodes, "links": links or []}


def node(name: str, block: type[Block], **defaults: Any) -> Document:
    return {"id": name, "block_id": block.id, "input_default": defaults}


def link(source: str, sink: str) -> Document:
    """Of two pins written `node.pin`."""
    source_id, _, source_name = source.partition(".")
    sink_id, _, sink_name = sink.partition(".")
    return {
        "source_id": source_id,
        "source_name": source_name,
        "sink_id": sink_id,
        "sink_name": sink_name,
    }


async def _answer_badly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """`/refusal` asks to come again; every other path is a text that is hard to decode."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1]
        if path == b"/refusal":
            writer.write(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            content_type = CONTENT_TYPES.get(path, b"text/plain")
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: ")
            writer.write(content_type + b"\r\n\r\n" + b"a-" * 500_000)
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


CONTENT_TYPES = {
    b"/charset": b"text/plain; charset=punycode",
    b"/parameters": b'text/plain; a="' + b";" * 60_000,
}
