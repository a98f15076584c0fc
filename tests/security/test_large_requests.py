"""S17: a request whose address, headers or framing have no end is refused at their bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domain.limits import connection_limits
from tests.support.api import Caller, Platform
from tests.support.wire import LIVE, Wires, wires

PIECE = b"x" * 10_000


@pytest.fixture
async def lines(installation: Platform) -> AsyncIterator[Wires]:
    async with wires(installation.http) as found:
        yield found


def _asking(*headers: bytes) -> bytes:
    return LIVE[:-2] + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


@pytest.mark.parametrize("header", [b"a:", b"name: value"])
@pytest.mark.holds("S17")
async def test_so_many_headers_are_too_many(lines: Wires, header: bytes) -> None:
    wire = await lines.connect()
    most = connection_limits.HEADERS_MAX - 1
    assert (await wire.ask(_asking(*[header] * most))).status == 200
    refused = await wire.ask(_asking(*[header] * (most + 1)))
    assert (refused.status, refused.slug) == (431, "headers_too_large")
    assert await wire.rest() == b""


@pytest.mark.holds("S17")
async def test_a_hundred_thousand_headers_are_not_read(lines: Wires) -> None:
    wire = await lines.connect()
    await wire.send(_asking(*[b"name: value"] * 100_000))
    assert (await wire.answer()).status == 431


@pytest.mark.holds("S17")
async def test_headers_are_as_large_as_they_are_together(lines: Wires) -> None:
    wire = await lines.connect()
    room = connection_limits.HEAD_BYTES_MAX - 100
    assert (await wire.ask(_asking(b"a: " + b"x" * room))).status == 200
    half = b"a: " + b"x" * (connection_limits.HEAD_BYTES_MAX // 2)
    assert (await wire.ask(_asking(half, half))).status == 431


@pytest.mark.holds("S17")
async def test_a_header_without_end_is_not_waited_for(lines: Wires) -> None:
    wire = await lines.connect()
    await wire.send(LIVE[:-2] + b"a: ")
    assert (await wire.trickle(PIECE, 0)).status == 431


@pytest.mark.holds("S17")
async def test_an_address_is_as_long_as_it_may(lines: Wires) -> None:
    wire = await lines.connect()
    query = b"x" * (connection_limits.TARGET_BYTES_MAX - len(b"/health/live?"))
    assert (await wire.ask(LIVE.replace(b"live", b"live?" + query))).status == 200
    refused = await wire.ask(LIVE.replace(b"live", b"live?x" + query))
    assert (refused.status, refused.slug) == (414, "address_too_long")
    assert await wire.rest() == b""


@pytest.mark.holds("S17")
async def test_an_address_without_end_is_not_waited_for(lines: Wires) -> None:
    wire = await lines.connect()
    await wire.send(b"GET /")
    assert (await wire.trickle(PIECE, 0)).status == 414


@pytest.mark.holds("S17")
async def test_empty_lines_before_a_request_have_an_end(lines: Wires) -> None:
    assert (await (await lines.connect()).trickle(b"\r\n" * 5_000, 0)).status == 431


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"1;", b"x" * 10_000),
        (b"", b"1;" + b"x" * 10_000 + b"\r\n \r\n"),
        (b"0" * 10, b"0" * 10_000),
        (b"0\r\n", b"name: value\r\n" * 1_000),
        (b"0\r\nname: ", b"x" * 10_000),
    ],
    ids=["extension", "extensions", "zeros", "trailers", "trailer"],
)
@pytest.mark.holds("S17")
async def test_what_frames_a_body_has_an_end(
    lines: Wires, user: Caller, begin: bytes, piece: bytes
) -> None:
    wire = await lines.connect()
    await wire.send(_chunked("/api/v1/graphs", _authorization(user)) + begin)
    refused = await wire.trickle(piece, 0)
    assert (refused.status, refused.slug) == (400, "invalid")


@pytest.mark.holds("S17")
async def test_a_trailer_is_nobodys_header(lines: Wires, user: Caller) -> None:
    """Whoever stands before us has not seen it, and may have taken care of those that it has."""
    wire = await lines.connect()
    path, trailer = "/api/v1/auth/user", _authorization(user) + b"\r\n"
    assert (await wire.ask(_chunked(path) + b"0\r\n" + trailer + b"\r\n")).status == 401
    assert (await wire.ask(_chunked(path, trailer[:-2]) + b"0\r\na: b\r\n\r\n")).status == 200


def _authorization(user: Caller) -> bytes:
    return b"Authorization: " + user.headers["Authorization"].encode()


def _chunked(path: str, *headers: bytes) -> bytes:
    first = b"POST " + path.encode() + b" HTTP/1.1"
    kind = b"Content-Type: application/json"
    lines = [first, b"Host: x", b"Transfer-Encoding: chunked", kind, *headers]
    return b"\r\n".join([*lines, b"", b""])
