"""S17: whoever holds connections and asks for nothing makes room, and where all are at work there
is still an answer about the health.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import httpx2
import msgspec
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from domain.limits import connection_limits
from tests.support.api import Caller, Platform, api, eventually
from tests.support.processes import until
from tests.support.wire import LIVE, Wire, Wires, wires

ROOM = 6
OTHER = "127.0.0.2"
ORDINARY = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
READY = LIVE.replace(b"live", b"ready")
HEADS = [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"]


@asynccontextmanager
async def _crowded(
    installation: Platform, connections: int = 100, per_address: int = 100
) -> AsyncIterator[tuple[httpx2.AsyncClient, Wires]]:
    settings = msgspec.structs.replace(
        installation.settings, connections=connections, connections_per_address=per_address
    )
    async with api(settings) as http, wires(http) as lines:
        await http.aclose()
        yield http, lines


async def _asked(lines: Wires, user: Caller, count: int, source: str) -> Sequence[Wire]:
    """Connections whose requests are under way."""
    head = b"GET /api/v1/graphs HTTP/1.1\r\nHost: x\r\nAt-Least: 999999999\r\nAuthorization: "
    asked = [await lines.connect(source) for _ in range(count)]
    for wire in asked:
        await wire.send(head + user.headers["Authorization"].encode() + b"\r\n\r\n")
    return asked


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("source", ["127.0.0.1", OTHER])
@pytest.mark.holds("S17")
async def test_who_asks_for_nothing_makes_room(
    installation: Platform, head: bytes, source: str
) -> None:
    async with _crowded(installation, connections=ROOM) as (_, lines):
        silent = [await lines.connect() for _ in range(ROOM)]
        for wire in silent:
            await wire.send(head)
        for longest in silent:
            assert (await (await lines.connect(source)).ask()).status == 200
            assert await longest.rest() == b""


@pytest.mark.holds("S17")
async def test_an_address_makes_room_among_its_own(installation: Platform) -> None:
    async with _crowded(installation, per_address=ROOM) as (_, lines):
        others = [await lines.connect(OTHER) for _ in range(ROOM)]
        silent = [await lines.connect() for _ in range(ROOM)]
        assert (await (await lines.connect()).ask()).status == 200
        assert await silent[0].rest() == b""
        for wire in (*others, *silent[1:]):
            assert (await wire.ask()).status == 200


@pytest.mark.holds("S17")
async def test_whoever_is_answered_waits_longest_from_then_on(installation: Platform) -> None:
    async with _crowded(installation, connections=2) as (_, lines):
        first, second = await lines.connect(), await lines.connect()
        assert (await first.ask()).status == 200
        assert (await (await lines.connect()).ask()).status == 200
        assert await second.rest() == b""
        assert (await first.ask()).status == 200


@pytest.mark.parametrize("bounds", [{"connections": ROOM}, {"per_address": ROOM}])
@pytest.mark.holds("S17")
async def test_health_is_told_where_all_are_at_work(
    installation: Platform, user: Caller, bounds: dict[str, int]
) -> None:
    async with _crowded(installation, **bounds) as (_, lines):
        asked = await _asked(lines, user, ROOM, "127.0.0.1")
        for path in (b"/health", b"/health/ready", b"/health/live"):
            told = await (await lines.connect()).ask(LIVE.replace(b"/health/live", path))
            assert (told.status, told.headers["connection"]) == (200, "close")
        refused = await (await lines.connect()).ask(LIVE.replace(b"/health/live", b"/schema"))
        assert (refused.status, refused.slug) == (503, "unavailable")
        assert refused.headers["retry-after"] == "1"
        assert [(await wire.answer()).status for wire in asked] == [200] * ROOM
        for wire in asked:
            wire.close()
        assert (await (await lines.connect()).ask(READY)).status == 200


@pytest.mark.holds("S17")
async def test_an_address_at_work_leaves_room_for_others(
    installation: Platform, user: Caller
) -> None:
    async with _crowded(installation, per_address=ROOM) as (_, lines):
        asked = await _asked(lines, user, ROOM, "127.0.0.1")
        other = await lines.connect(OTHER)
        assert (await other.ask()).headers.get("connection") is None
        assert [(await wire.answer()).status for wire in asked] == [200] * ROOM


@pytest.mark.holds("S17")
async def test_silence_beyond_the_bounds_does_not_hide_the_health(
    installation: Platform, user: Caller
) -> None:
    async with _crowded(installation, connections=ROOM) as (_, lines):
        asked = await _asked(lines, user, ROOM, "127.0.0.1")
        silent = [
            await lines.connect() for _ in range(2 * connection_limits.HEALTH_CONNECTIONS_MAX)
        ]
        assert (await (await lines.connect()).ask()).status == 200
        assert await silent[0].rest() == b""
        assert [(await wire.answer()).status for wire in asked] == [200] * ROOM


@pytest.mark.holds("S17")
async def test_sockets_are_connections(installation: Platform, user: Caller) -> None:
    token = user.headers["Authorization"].removeprefix("Bearer ")
    async with _crowded(installation, connections=ROOM) as (http, lines):
        address = f"ws://127.0.0.1:{http.base_url.port}/ws/{user.user_id}?token={token}"
        sockets = [await connect(address, proxy=None) for _ in range(ROOM)]
        try:
            assert (await (await lines.connect()).ask(READY)).status == 200
            assert (await (await lines.connect()).ask(ORDINARY)).status == 503
        finally:
            await asyncio.gather(*(socket.close() for socket in sockets))
        await _until_open(lines)


@pytest.mark.holds("S17")
async def test_a_socket_that_was_refused_makes_room(installation: Platform) -> None:
    """It stays until its peer has closed it too."""
    async with _crowded(installation, connections=ROOM) as (http, lines):
        address = f"ws://127.0.0.1:{http.base_url.port}/ws/x?token=x"
        deaf = [await connect(address, proxy=None, close_timeout=60) for _ in range(ROOM)]
        for socket in deaf:
            socket.transport.pause_reading()
        await _until_open(lines)
        for socket in deaf:
            socket.transport.abort()


@pytest.mark.holds("S17")
async def test_a_crowd_is_logged_once(
    installation: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "TROUBLE_SECONDS", 0.2)
    with capture_logs() as logged:

        def told(event: str) -> int:
            return sum(line["event"] == event for line in logged)

        async with _crowded(installation, connections=ROOM) as (_, lines):
            for time in (1, 2):
                for _ in range(10 * ROOM):
                    await lines.connect()
                await until(partial(lambda times: told("connections.not_crowded") == times, time))
                assert told("connections.crowded") == time


async def _until_open(lines: Wires) -> None:
    """Until a connection may ask for anything."""

    async def is_open() -> bool:
        return (await (await lines.connect()).ask(ORDINARY)).status != 503

    await eventually(is_open)
