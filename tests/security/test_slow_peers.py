"""S17: whoever is slow, silent or deaf does not keep a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import psutil
import pytest

from domain.limits import connection_limits
from tests.support.api import Caller, Platform, api
from tests.support.graphs import echo
from tests.support.wire import LIVE, Wires, wires

BUNDLE = b"GET /schema-assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
SOON = 0.3


@pytest.fixture
async def lines(installation: Platform) -> AsyncIterator[Wires]:
    async with wires(installation.http) as found:
        yield found


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS_MAX", "TRANSFER_SECONDS", "HANGUP_SECONDS_MAX"):
        monkeypatch.setattr(connection_limits, name, SOON)


def _post(user: Caller, path: str, *headers: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Authorization: {user.headers['Authorization']}",
        "Content-Type: application/json",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("part", [b"G", b"GET / HTTP/1.1\r\n", LIVE[:-2], b"\r\n", b"\r\n" * 50])
@pytest.mark.holds("S17")
async def test_a_part_of_a_head_is_not_waited_for(lines: Wires, part: bytes) -> None:
    wire = await lines.connect()
    await wire.send(part)
    answer = await wire.answer()
    assert (answer.status, answer.slug) == (408, "too_slow")
    assert answer.headers["connection"] == "close"
    assert await wire.rest() == b""


@pytest.mark.usefixtures("soon")
@pytest.mark.holds("S17")
async def test_a_head_that_trickles_is_not_waited_for(lines: Wires) -> None:
    wire = await lines.connect()
    await wire.send(LIVE[:-2] + b"X: ")
    assert (await wire.trickle(b"x", 0.02)).status == 408


@pytest.mark.usefixtures("soon")
@pytest.mark.holds("S17")
async def test_a_second_head_is_not_waited_for(lines: Wires) -> None:
    wire = await lines.connect()
    assert (await wire.ask(LIVE + LIVE[:-1])).status == 200
    assert (await wire.answer()).status == 408


@pytest.mark.usefixtures("soon")
@pytest.mark.holds("S17")
async def test_who_says_nothing_at_all_is_told_nothing(lines: Wires) -> None:
    assert await (await lines.connect()).rest() == b""


@pytest.mark.holds("S17")
async def test_a_connection_is_not_kept_for_ever(installation: Platform) -> None:
    settings = msgspec.structs.replace(installation.settings, idle_seconds=1)
    async with api(settings) as http, wires(http) as lines:
        wire = await lines.connect()
        assert (await wire.ask()).status == 200
        await asyncio.sleep(0.5)
        assert (await wire.ask()).status == 200
        assert await wire.rest() == b""


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("pieces", [[], [b'{"graph"', b":", b" " * 10]])
@pytest.mark.holds("S17")
async def test_a_body_that_does_not_come_is_not_waited_for(
    lines: Wires, user: Caller, pieces: list[bytes]
) -> None:
    wire = await lines.connect()
    await wire.send(_post(user, "/api/v1/graphs", "Content-Length: 900"), *pieces, pause=0.05)
    answer = await wire.answer()
    assert (answer.status, answer.slug) == (408, "too_slow")
    assert await wire.rest() == b""
    assert (await user.read("/api/v1/graphs")) == []


@pytest.mark.usefixtures("soon")
@pytest.mark.holds("S17")
async def test_a_body_that_trickles_is_not_waited_for(lines: Wires, user: Caller) -> None:
    wire = await lines.connect()
    await wire.send(_post(user, "/api/v1/graphs", "Transfer-Encoding: chunked"))
    assert (await wire.trickle(b"1\r\n \r\n", 0.02)).status == 408


@pytest.mark.holds("S17")
async def test_a_body_may_take_its_time_if_it_comes(
    lines: Wires, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "TRANSFER_SECONDS", SOON)
    monkeypatch.setattr(connection_limits, "TRANSFER_BYTES_MIN", 100)
    body = msgspec.json.encode({"graph": echo()}) + b" " * 2_000
    wire = await lines.connect()
    await wire.send(_post(user, "/api/v1/graphs", f"Content-Length: {len(body)}"))
    pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
    assert len(pieces) * 0.06 > 3 * SOON
    await wire.send(*pieces, pause=0.06)
    assert (await wire.answer()).status == 200


@pytest.mark.usefixtures("soon")
@pytest.mark.holds("S17")
async def test_who_is_answered_already_need_not_be_heard_out(lines: Wires) -> None:
    wire = await lines.connect()
    await wire.send(b"POST /api/v1/graphs HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
    assert (await wire.answer()).status == 401
    with pytest.raises((ConnectionError, EOFError)):
        await wire.trickle(b" " * 10, 0.02)


@pytest.mark.usefixtures("soon")
@pytest.mark.holds("S17")
async def test_our_own_time_is_not_the_peers(lines: Wires, user: Caller) -> None:
    """The answer takes longer than a peer may, and so does what the peer waits for."""
    wire = await lines.connect()
    head = b"GET /api/v1/graphs HTTP/1.1\r\nHost: x\r\nAt-Least: 999999999\r\nAuthorization: "
    assert (
        await wire.ask(head + user.headers["Authorization"].encode() + b"\r\n\r\n")
    ).status == 200


@pytest.mark.holds("S17")
async def test_who_asks_before_it_sends_is_told_to(lines: Wires, user: Caller) -> None:
    body = msgspec.json.encode({"graph": echo()})
    length = f"Content-Length: {len(body)}"
    wire = await lines.connect()
    head = _post(user, "/api/v1/graphs", length, "Expect: 100-continue")
    assert (await wire.ask(head)).status == 100
    assert (await wire.ask(body)).status == 200


@pytest.mark.usefixtures("soon")
@pytest.mark.holds("S17")
async def test_who_takes_nothing_of_an_answer_is_left(
    lines: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = await lines.connect(SO_RCVBUF=4_096)
    await wire.send(BUNDLE)
    await asyncio.sleep(4 * SOON)
    assert len(await wire.rest()) < 1_500_000


@pytest.mark.holds("S17")
async def test_who_reads_slowly_holds_no_open_file(lines: Wires) -> None:
    for _ in range(8):
        wire = await lines.connect(SO_RCVBUF=4_096)
        await wire.send(BUNDLE)
        assert (await wire.head()).status == 200
    assert not [file for file in psutil.Process().open_files() if "swagger" in file.path]
