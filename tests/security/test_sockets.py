"""What a peer can do to the server over a socket, and what it hears of others."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.server import ServerProtocol

from domain.limits import socket_limits
from tests.support.api import Caller, Platform
from tests.support.graphs import echo
from tests.support.live import Peer
from tests.support.processes import until

UNMASKED = b"\x80\x00\x00\x00\x00"
"""The length of an empty frame, and the mask that every client names."""
PING = b"\x89" + UNMASKED
TEXT = b"\x81" + UNMASKED
PONG = b"\x8a" + UNMASKED
BEGINNING = b"\x01" + UNMASKED
PIECE = b"\x00" + UNMASKED
FLOOD = 1_000
"""Frames of one portion."""
PORTIONS_MAX = 100


@asynccontextmanager
async def peer(installation: Platform, caller: Caller, **options: Any) -> AsyncIterator[Peer]:
    """A socket of theirs."""
    host = f"{installation.http.base_url.host}:{installation.http.base_url.port}"
    token = caller.headers["Authorization"].removeprefix("Bearer ")
    url = f"ws://{host}/ws/{caller.user_id}?token={token}"
    async with connect(url, max_size=None, proxy=None, **options) as opened:
        yield Peer(opened)


async def flooded(flooding: Peer, frame: bytes) -> None:
    """Send frames until the other end has had enough, which it has to in the end."""
    transport = flooding.socket.transport
    for _ in range(PORTIONS_MAX):
        transport.write(frame * FLOOD)
        await asyncio.sleep(0)
        await until(lambda: transport.is_closing() or not transport.get_write_buffer_size())
        if transport.is_closing():
            return
    raise AssertionError(f"still open after {PORTIONS_MAX * FLOOD} frames")


@pytest.mark.parametrize("frame", [PING, PONG, PIECE], ids=["ping", "pong", "piece"])
@pytest.mark.holds("S51")
async def test_a_flood_of_frames_ends_the_socket(
    installation: Platform, user: Caller, frame: bytes
) -> None:
    async with peer(installation, user) as flooding, peer(installation, user) as other:
        await flooding.ask("ping")
        if frame is PIECE:
            flooding.socket.transport.write(BEGINNING)
        await flooded(flooding, frame)
        closed = await flooding.closed()
        assert (closed.code, closed.reason) in {(4429, "too_many_frames"), (1006, "")}
        assert (await other.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize("frame", [PING, TEXT], ids=["ping", "text"])
@pytest.mark.holds("S51")
async def test_of_a_flood_that_comes_at_once_little_is_read(
    installation: Platform, user: Caller, monkeypatch: pytest.MonkeyPatch, frame: bytes
) -> None:
    """Each frame takes ten microseconds, and others have no turn meanwhile."""
    read: list[int] = []
    receive_data = ServerProtocol.receive_data

    def receive(protocol: ServerProtocol, data: bytes) -> None:
        read.append(len(data))
        receive_data(protocol, data)

    async with peer(installation, user) as flooding:
        await flooding.ask("ping")
        monkeypatch.setattr(ServerProtocol, "receive_data", receive)
        flooding.socket.transport.write(frame * 50 * FLOOD)
        await flooding.closed()
    assert max(read) <= socket_limits.SOCKET_PIECE_BYTES
    assert sum(read) < 5 * FLOOD * len(frame)


async def test_a_ping_is_answered_and_a_message_may_come_in_pieces(
    installation: Platform, user: Caller
) -> None:
    async with peer(installation, user) as polite:
        for _ in range(100):
            await (await polite.socket.ping())
        await polite.socket.send(['{"type"', "", ': "p', 'ing"}'])
        assert (await polite.next())["type"] == "pong"


@pytest.mark.holds("S51")
async def test_who_floods_and_reads_nothing_costs_nothing(
    installation: Platform, user: Caller
) -> None:
    """Every ping calls for a pong of its size."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.connect((installation.http.base_url.host, installation.http.base_url.port))
    ping = b"\x89\xfd\x00\x00\x00\x00" + bytes(125)
    async with peer(installation, user, sock=deaf, compression=None) as flooding:
        await flooding.ask("ping")
        flooding.socket.transport.pause_reading()
        await flooded(flooding, ping)


@pytest.mark.holds("S21", "S51")
async def test_a_message_that_unpacks_to_much_is_refused(
    installation: Platform, user: Caller
) -> None:
    async with peer(installation, user) as bombing:
        await bombing.socket.send(" " * 64 * 1024 * 1024)
        assert (await bombing.closed()).code == 1009


@pytest.mark.holds("S51")
async def test_a_text_that_is_none_is_no_error_of_ours(
    installation: Platform, user: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    async with peer(installation, user) as babbling:
        await babbling.ask("ping")
        babbling.socket.transport.write(b"\x81\x81\x00\x00\x00\x00\xff")
        assert (await babbling.closed()).code == 1007
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.holds("S11")
async def test_a_socket_hears_of_nobody_elses_runs(installation: Platform) -> None:
    """Neither what it asks for, from whichever version, nor what happens meanwhile."""
    owner, stranger = await installation.user(), await installation.user()
    foreign, own = await owner.save(echo()), await stranger.save(echo())
    run_id = await owner.start(foreign, {"x": "secret"})
    await owner.ended(foreign, run_id)
    async with peer(installation, stranger) as listening:
        asked: tuple[tuple[str, dict[str, Any]], ...] = (
            *(("subscribe_execution", {"after_version": version}) for version in (0, 1, 5)),
            *((kind, {}) for kind in ("subscribe_execution", "execution_status")),
            ("graph_update", {"graph_id": foreign.graph_id}),
        )
        for kind, members in asked:
            answer = await listening.ask(kind, **{"execution_id": run_id, **members})
            assert (answer["type"], "not found" in answer["message"]) == ("error", True), kind
        await owner.ended(foreign, await owner.start(foreign, {"x": "secret"}))
        mine = await stranger.start(own, {"x": "open"})
        heard = await listening.until("execution_completed")
    assert {message["execution_id"] for message in heard} == {mine}
