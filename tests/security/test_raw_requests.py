"""What no client library would send: bytes that are no text, numbers beyond all bounds, dates that
no calendar has. Nobody's fault but the caller's, and said so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import product
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from api.app import create_app
from tests.support.api import Caller, Platform
from tests.support.graphs import echo
from tests.support.routes import Endpoint, endpoints

SECONDS_MAX = 20.0
AT_ONCE = 16
TEXTS = [b"%ff", b"%ed%a0%80", b"%00", b"a%00b", b"%", b"%zz", b"%0a", b"%C3%A9", b"%D9%A1", b""]
RAW = [b"\xff", b"\xc3\xa9", b"\xed\xa0\x80"]
"""What uvicorn itself refuses in an address."""
NUMBERS = [b"-1", b"1e400", b"NaN", b"Infinity", b"-0", b"1_0", b"0" * 5_000, b"9" * 30]
NUMBERS += [str(number).encode() for number in (2**31, 2**63 - 1, 2**63, -(2**63) - 1, 2**64)]
DATES = [b"10000-01-01T00:00:00Z", b"0000-01-01T00:00:00Z", b"2026-02-30T00:00:00Z"]
DATES += [b"9999-12-31T23:59:59-23:59", b"0001-01-01T00:00:00%2B23:59", b"2026-01-01T00:00:00"]
QUERY = ("page", "page_size", "version", "for_export", "as_of", "after", "limit", "outputs_after")
HEADERS = (b"Idempotency-Key", b"At-Least", b"Authorization", b"Content-Type", b"Cookie")
HEADER_VALUES = [
    *RAW,
    b"\x80",
    b"a\tb",
    b"x" * 5_000,
    b"9" * 30,
    b"a/b;=",
    b"application/json;charset=x",
]


class Line:
    """Requests as bytes, each over a connection of its own."""

    def __init__(self, served: Platform, user: Caller, values: dict[str, Any]) -> None:
        assert served.http.base_url.port is not None
        self._port = served.http.base_url.port
        self._authorization = user.headers["Authorization"].encode()
        self.values = values
        self.endpoints = [
            endpoint
            for endpoint in endpoints(create_app(served.settings))
            if endpoint.method not in {"OPTIONS", "HEAD"}
            and not endpoint.path.startswith("/api/v1")
        ]

    async def send(self, method: str, target: bytes, header: bytes = b"") -> int:
        """The status of the answer, which is never a server's error. A refusal is a problem."""
        is_own = header.startswith(b"Authorization")
        lines = [
            method.encode() + b" " + target + b" HTTP/1.1",
            *(b"Host: x", b"Connection: close", b"Content-Length: 2"),
            *([] if is_own else [b"Authorization: " + self._authorization]),
            *([header] if header else []),
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"\r\n".join(lines) + b"\r\n\r\n{}")
            async with asyncio.timeout(SECONDS_MAX):
                answer = await reader.read()
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head[9:12])
        assert 200 <= status < 500, (method, target[:200], header[:200], answer[:500])
        if status >= 400 and b"application/problem+json" in head:
            assert msgspec.json.decode(body)["message"]
        elif status >= 400:
            assert target.startswith(b"/schema") or body == b"Invalid HTTP request received."
        return status

    async def send_all(self, requests: Iterator[tuple[str, bytes, bytes]]) -> list[int]:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(method: str, target: bytes, header: bytes) -> int:
            async with room:
                return await self.send(method, target, header)

        return await asyncio.gather(*(one(*request) for request in requests))

    def target(self, endpoint: Endpoint, **changes: Any) -> bytes:
        return endpoint.url({**self.values, **changes}).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def line(installation: Platform) -> Line:
    user = await installation.user()
    graph = await user.save(echo())
    run_id = await user.start(graph)
    await user.ended(graph, run_id)
    values = {
        "graph_id": graph.graph_id,
        "run_id": run_id,
        "graph_version": 1,
        "version": 1,
        "value_id": "0" * 64,
        "path": "x",
        "file_path": "x",
    }
    return Line(installation, user, values)


@pytest.mark.holds("S34")
async def test_anything_in_a_path_is_no_server_error(line: Line) -> None:
    def requests() -> Iterator[tuple[str, bytes, bytes]]:
        for endpoint in line.endpoints:
            values = [*TEXTS, *RAW, *NUMBERS]
            for parameter, value in product(endpoint.parameters, values):
                target = line.target(endpoint, **{parameter: "@"}).replace(b"@", value)
                yield endpoint.method, target, b""

    statuses = await line.send_all(requests())
    assert statuses.count(404) > len(statuses) / 2


@pytest.mark.parametrize("name", QUERY)
@pytest.mark.holds("S17", "S34")
async def test_anything_in_a_query_is_no_server_error(line: Line, name: str) -> None:
    def requests() -> Iterator[tuple[str, bytes, bytes]]:
        for endpoint in line.endpoints:
            if endpoint.method == "GET":
                for value in (*TEXTS, *RAW, *NUMBERS, *DATES):
                    target = line.target(endpoint)
                    yield "GET", target + b"?" + name.encode() + b"=" + value, b""
                yield "GET", target + f"?{name}=1&{name}=2".encode(), b""
                yield "GET", target + b"?%ff=1&%00=%00&" + b"x&" * 2_000, b""

    assert 400 in await line.send_all(requests())


@pytest.mark.parametrize("name", HEADERS)
async def test_anything_in_a_header_is_no_server_error(line: Line, name: bytes) -> None:
    def requests() -> Iterator[tuple[str, bytes, bytes]]:
        for endpoint in line.endpoints:
            for value in HEADER_VALUES:
                yield endpoint.method, line.target(endpoint), name + b": " + value

    await line.send_all(requests())


@pytest.mark.parametrize("as_of", DATES[:3])
async def test_a_date_that_no_calendar_has_is_refused(line: Line, as_of: bytes) -> None:
    run = next(e for e in line.endpoints if e.path.endswith("/executions/{run_id}"))
    assert await line.send("GET", line.target(run) + b"?as_of=" + as_of) == 400
