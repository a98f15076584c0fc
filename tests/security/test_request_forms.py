"""Requests of which two readers could make different things are refused, and so is what comes
after them; what ordinary clients of HTTP/1.1 and HTTP/1.0 send is answered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from domain.limits import connection_limits
from tests.support.api import Caller, Platform
from tests.support.wire import LIVE, Wires, wires

SMUGGLED = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
async def lines(installation: Platform) -> AsyncIterator[Wires]:
    async with wires(installation.http) as found:
        yield found


BODIES = {
    "both lengths": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, swapped": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 1\r\n\r\n",
    "one length twice": b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "lengths in a list": b"Content-Length: 1, 1\r\n\r\nx",
    "length with a sign": b"Content-Length: +1\r\n\r\nx",
    "length below zero": b"Content-Length: -1\r\n\r\nx",
    "length in hexadecimal": b"Content-Length: 0x1\r\n\r\nx",
    "length without digits": b"Content-Length: \r\n\r\n",
    "length folded": b"Content-Length: \r\n 1\r\n\r\nx",
    "length beyond all": b"Content-Length: 99999999999999999999999\r\n\r\nx",
    "coding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and another": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "another and the coding": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no such coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding in quotes": b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding folded": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "coding after a control": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "bare line feed": b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare carriage return": b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "line feed at the end": b"Content-Length: 0\r\n\n",
    "null in a value": b"X: a\0b\r\n\r\n",
    "null in a name": b"X\0: a\r\n\r\n",
    "control in a value": b"X: a\x01b\r\n\r\n",
    "folded value": b"X: a\r\n b\r\n\r\n",
    "no colon": b"abc\r\n\r\n",
    "no name": b": a\r\n\r\n",
    "second host": b"Host: y\r\n\r\n",
    "same host twice": b"host: x\r\n\r\n",
    "chunk without an end": b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "chunk in hexadecimal": b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "chunk below zero": b"Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    "chunk beyond all": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na\r\n0\r\n\r\n",
    "chunk after a line feed": b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "chunk after a return": b"Transfer-Encoding: chunked\r\n\r\n1\rXa\r\n0\r\n\r\n",
    "extension with a line feed": b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    "space after a size": b"Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
    "length in a trailer": b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
}
FIRST_LINES = {
    "no version": b"POST /api/v1/auth/user",
    "version 0.9": b"POST /api/v1/auth/user HTTP/0.9",
    "version 1.2": b"POST /api/v1/auth/user HTTP/1.2",
    "version 2": b"POST /api/v1/auth/user HTTP/2.0",
    "version in lower case": b"POST /api/v1/auth/user http/1.1",
    "space after the version": b"POST /api/v1/auth/user HTTP/1.1 ",
    "tab": b"POST\t/api/v1/auth/user HTTP/1.1",
    "method in lower case": b"post /api/v1/auth/user HTTP/1.1",
    "no such method": b"FETCH /api/v1/auth/user HTTP/1.1",
    "tunnel": b"CONNECT example.com:80 HTTP/1.1",
    "preface": b"PRI * HTTP/2.0\r\n\r\nSM",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "line feed": b"POST /api/v1/auth/user HTTP/1.1\nHost: x\n\n",
    "control in the path": b"POST /api/v1/auth/user\x01 HTTP/1.1",
}


@pytest.mark.parametrize("rest", BODIES.values(), ids=BODIES)
async def test_a_doubtful_body_is_refused(
    lines: Wires, installation: Platform, rest: bytes
) -> None:
    """Also by those who would do what the head says and want no body for it."""
    caller = installation.caller()
    wire = await lines.connect()
    await wire.send(_registering(caller) + rest + SMUGGLED)
    refused = await wire.answer()
    assert (refused.status, refused.slug) == (400, "invalid")
    assert await wire.rest() == b""


@pytest.mark.parametrize("line", FIRST_LINES.values(), ids=FIRST_LINES)
async def test_a_doubtful_first_line_is_refused(lines: Wires, line: bytes) -> None:
    wire = await lines.connect()
    refused = await wire.ask(line + b"\r\nHost: x\r\n\r\n" + SMUGGLED)
    assert (refused.status, refused.slug) == (400, "invalid")
    assert await wire.rest() == b""


async def test_a_host_is_needed(lines: Wires) -> None:
    assert (await (await lines.connect()).ask(b"GET / HTTP/1.1\r\n\r\n")).status == 400


@pytest.mark.parametrize("coding", [b"gzip", b"identity", b"xchunked", b"gzip, chunked"])
async def test_nothing_is_done_for_a_body_that_nobody_can_read(
    lines: Wires, installation: Platform, coding: bytes
) -> None:
    """The parser finds this out when it has passed the head on already."""
    caller = installation.caller()
    wire = await lines.connect()
    head = await installation.at_rest()
    request = _registering(caller) + b"Transfer-Encoding: " + coding + b"\r\n\r\n"
    assert (await wire.ask(request)).status == 400
    assert await wire.rest() == b""
    assert await installation.head() == head


async def test_whoever_came_before_a_refusal_is_answered_first(lines: Wires) -> None:
    """Or the refusal would be taken for the answer to another request."""
    wire = await lines.connect()
    answer = await wire.ask(LIVE + b"nonsense\r\n\r\n" + SMUGGLED)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await wire.rest() == b""


@pytest.mark.parametrize("count", [2, 1 + connection_limits.PIPELINED_MAX])
async def test_requests_may_follow_each_other(lines: Wires, count: int) -> None:
    wire = await lines.connect()
    paths = [b"/health/live" if n % 2 else b"/nowhere" for n in range(count)]
    await wire.send(b"".join(LIVE.replace(b"/health/live", path) for path in paths))
    statuses = [(await wire.answer()).status for _ in paths]
    assert statuses == [200 if n % 2 else 404 for n in range(count)]
    assert (await wire.ask()).status == 200


async def test_no_more_requests_are_kept_than_may_wait(lines: Wires) -> None:
    wire = await lines.connect()
    await wire.send(LIVE * 1_000)
    answers = await wire.rest()
    assert (
        answers.count(b"HTTP/1.1 200 ")
        == answers.count(b"HTTP/1.1")
        == 1 + connection_limits.PIPELINED_MAX
    )
    assert answers.count(b"connection: close") == 1


async def test_an_old_client_needs_no_host(lines: Wires) -> None:
    wire = await lines.connect()
    assert (await wire.ask(b"GET /health/live HTTP/1.0\r\n\r\n")).status == 200
    assert await wire.rest() == b""


async def test_an_old_client_knows_no_chunks(lines: Wires) -> None:
    request = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert (await (await lines.connect()).ask(request)).status == 400


async def test_whoever_wants_another_protocol_gets_this_one(lines: Wires) -> None:
    wire = await lines.connect()
    wishes = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    answer = await wire.ask(LIVE[:-2] + wishes + b"\r\n" + SMUGGLED)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await wire.rest() == b""


def _registering(caller: Caller) -> bytes:
    """Needs no body, so that it would be done as soon as its head is there."""
    head = "POST /api/v1/auth/user HTTP/1.1\r\nHost: x\r\nAuthorization: "
    return (head + caller.headers["Authorization"] + "\r\n").encode()
