"""Who is let in, and how sockets end."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any
from uuid import UUID

import jwt
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from domain.limits import request_limits, socket_limits
from domain.runs import NodeFailed
from runtime import clock, ids
from runtime.secrets import AUDIENCE, jwt_key, sign_token
from runtime.settings import Settings
from tests.support.live import (
    HOST,
    LiveApi,
    Peer,
    Script,
    live_api,
    transcript,
)
from tests.support.processes import until


@pytest.mark.holds("S11")
async def test_only_a_good_token_of_the_user_is_let_in(api: LiveApi, user_id: UUID) -> None:
    stranger = Settings(jwt_verify_key=ids.new_secret())
    forged = sign_token(stranger, user_id=user_id, email="user@example.com")
    refusals = {
        "": "Token is missing",
        "nonsense": "Invalid token: Not enough segments",
        forged: "Invalid token signature",
        api.token(user_id, seconds=-request_limits.TOKEN_LEEWAY_SECONDS - 1): "Token has expired",
        api.token(ids.new_id()): "Invalid user ID",
    }
    for token, reason in refusals.items():
        async with api.peer(user_id, token) as peer:
            assert await peer.closed() == (1008, reason, [])
    assert api.services.feed.position is None


async def test_the_server_itself_never_knows_the_token(
    api: LiveApi, user_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor on paths where no socket is. What it says below INFO is never logged."""
    token = api.token(user_id)
    with caplog.at_level(logging.INFO, logger="uvicorn"):
        async with api.peer(user_id, token) as peer:
            await peer.ask("ping")
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{HOST}:{api.port}/nowhere?token={token}", proxy=None)
    assert str(user_id) in caplog.text
    assert "/nowhere" in caplog.text
    assert token not in caplog.text


async def test_a_socket_ends_with_its_token(
    api: LiveApi, user_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "TOKEN_LEEWAY_SECONDS", 0)
    async with api.peer(user_id, api.token(user_id, seconds=2)) as peer:
        assert (await peer.ask("ping"))["type"] == "pong"
        assert await peer.closed() == (4401, "Token has expired", [])


async def test_a_token_without_end_in_sight_is_a_token(api: LiveApi, user_id: UUID) -> None:
    claims = {"sub": str(user_id), "aud": AUDIENCE, "exp": 10**400}
    async with api.peer(user_id, jwt.encode(claims, jwt_key(api.settings))) as peer:
        assert (await peer.ask("ping"))["type"] == "pong"


OWN = "http://{host}:{port}"
ALLOWED = "https://app.example.com"


@pytest.mark.parametrize("origin", [None, OWN, OWN.replace("http:", "https:"), ALLOWED])
async def test_pages_of_the_own_host_and_those_allowed_may_open_sockets(
    settings: Settings, user_id: UUID, origin: str | None
) -> None:
    allowing = msgspec.structs.replace(settings, allowed_origins=(ALLOWED,))
    async with live_api(allowing) as api:
        named = None if origin is None else origin.format(host=HOST, port=api.port)
        async with api.peer(user_id, origin=named) as peer:
            assert (await peer.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize(
    "origin", ["null", "", ALLOWED, "http://{host}", "http://{host}:{port}.example.com", "http://["]
)
@pytest.mark.holds("S38", "S51")
async def test_pages_of_other_hosts_may_not(api: LiveApi, user_id: UUID, origin: str) -> None:
    foreign = origin.format(host=HOST, port=api.port)
    async with api.peer(user_id, additional_headers={"Origin": foreign}) as peer:
        assert await peer.closed() == (4403, "Origin is not allowed", [])


@pytest.mark.holds("S51")
async def test_who_says_too_much_is_closed(
    api: LiveApi, user_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_limits, "SOCKET_MESSAGES_PER_SECOND", 0)
    async with api.peer(user_id) as peer, api.peer(user_id) as other:
        for _ in range(socket_limits.SOCKET_MESSAGES_BURST):
            await peer.say("ping")
        await peer.until("pong")
        await peer.say("ping")
        closed = await peer.closed()
        assert (closed.code, closed.reason) == (4429, "too_many_messages")
        assert len(closed.messages) < socket_limits.SOCKET_MESSAGES_BURST
        assert (await other.ask("ping"))["type"] == "pong"


@pytest.mark.holds("S51")
async def test_sockets_of_a_user_have_one_rate(
    api: LiveApi, user_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that come when others have left. Who asks too fast waits; nobody else does."""
    monkeypatch.setattr(socket_limits, "SOCKET_USER_MESSAGES_BURST", 5)
    monkeypatch.setattr(socket_limits, "SOCKET_USER_MESSAGES_PER_SECOND", 50)
    began = clock.monotonic()
    for _ in range(3):
        async with api.peer(user_id) as one, api.peer(user_id) as another:
            for peer in (one, another) * 5:
                await peer.ask("ping")
    assert clock.monotonic() - began >= (30 - 5) / 50
    monkeypatch.setattr(socket_limits, "SOCKET_USER_MESSAGES_PER_SECOND", 1)
    slow = ids.new_id()
    async with api.peer(slow) as waiting, api.peer(ids.new_id()) as other:
        for _ in range(5):
            await waiting.ask("ping")
        late = asyncio.create_task(waiting.ask("ping"))
        assert (await other.ask("ping"))["type"] == "pong"
        assert not late.done()
        late.cancel()


@pytest.mark.holds("S51")
async def test_who_opens_sockets_too_often_waits_and_is_closed(
    api: LiveApi, user_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_limits, "SOCKETS_OPENED_BURST", 2)
    monkeypatch.setattr(socket_limits, "SOCKETS_OPENED_PER_SECOND", 2)
    for _ in range(socket_limits.SOCKETS_OPENED_BURST):
        async with api.peer(user_id) as peer:
            assert (await peer.ask("ping"))["type"] == "pong"
    async with api.peer(user_id) as later:
        assert (await later.ask("ping"))["type"] == "pong"
    monkeypatch.setattr(socket_limits, "SOCKET_OPEN_SECONDS_MAX", 0.1)
    async with api.peer(user_id) as refused:
        assert await refused.closed() == (4429, "too_many_sockets", [])
    async with api.peer(ids.new_id()) as other:
        assert (await other.ask("ping"))["type"] == "pong"


async def test_nobody_has_more_sockets_than_one_may(
    api: LiveApi, user_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_limits, "SOCKETS_PER_USER_MAX", 1)
    async with api.peer(user_id) as first:
        await first.ask("ping")
        async with api.peer(user_id) as second:
            assert await second.closed() == (4429, "too_many_sockets", [])
        async with api.peer(ids.new_id()) as other:
            assert (await other.ask("ping"))["type"] == "pong"
    await until(lambda: api.services.feed.position is None)
    async with api.peer(user_id) as third:
        assert (await third.ask("ping"))["type"] == "pong"


@pytest.mark.holds("S51")
async def test_a_message_that_is_too_large_ends_the_socket(api: LiveApi, user_id: UUID) -> None:
    async with api.peer(user_id) as peer:
        await peer.socket.send("x" * (socket_limits.SOCKET_MESSAGE_BYTES_MAX + 1))
        assert (await peer.closed()).code == 1009


async def test_a_server_that_stops_says_so(settings: Settings, user_id: UUID) -> None:
    async with live_api(settings) as api, api.peer(user_id) as peer:
        await peer.ask("ping")
        api.stop()
        assert (await peer.closed()).code == 1012


async def test_without_a_database_nobody_is_let_in(api: LiveApi, user_id: UUID) -> None:
    await api.services.log.pool.close()
    async with api.peer(user_id) as peer:
        assert await peer.closed() == (1011, "Server error", [])


async def test_a_peer_that_vanishes_leaves_nothing_behind(
    api: LiveApi, user_id: UUID, script: Script
) -> None:
    async with api.peer(user_id) as peer:
        await script.go_on(2)
        await peer.ask("subscribe_execution", execution_id=script.run_id)
        peer.socket.transport.abort()
    await script.go_on()
    await until(lambda: api.services.feed.position is None)
    assert api.subscriber_count == 0


def lazily(api: LiveApi) -> dict[str, Any]:
    """Options of a socket that takes in little of what nobody reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect((HOST, api.port))
    return {"sock": connection, "max_queue": 1, "compression": None}


MEGABYTE = "x" * 1024 * 1024
FLOOD = 12
"""More than the kernel keeps for a socket."""


async def flood(script: Script) -> None:
    for _ in range(FLOOD):
        await script.append(
            NodeFailed(execution=0, node=script.first, error=MEGABYTE, elapsed_us=1)
        )


@pytest.fixture
def small_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_limits, "SOCKET_BACKLOG_BYTES_MAX", len(MEGABYTE))


@pytest.mark.usefixtures("small_backlog")
@pytest.mark.parametrize("is_subscribed", [True, False])
async def test_who_takes_nothing_is_closed_and_can_resume(
    api: LiveApi,
    user_id: UUID,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    is_subscribed: bool,
) -> None:
    monkeypatch.setattr(socket_limits, "SOCKET_STALL_SECONDS_MAX", 0.2)
    await script.go_on(1)
    async with api.peer(user_id, **lazily(api)) as peer:
        await peer.ask("ping")
        if is_subscribed:
            await peer.ask("subscribe_execution", execution_id=script.run_id)
        await script.go_on(1)
        await flood(script)
        await until(lambda: api.services.feed.position is None)
        closed = await peer.closed()
    assert (closed.code, closed.reason) == (4408, "too_slow")
    heard = transcript(closed.messages, script.run_id)
    calls = await script.calls()
    assert 0 < len(heard) < len(calls)
    assert heard == calls[: len(heard)]
    async with api.peer(user_id) as peer:
        after = heard[-1][1]
        await peer.ask("subscribe_execution", execution_id=script.run_id, after_version=after)
        rest = [await peer.next() for _ in calls[len(heard) :]]
        assert transcript(rest, script.run_id) == calls[len(heard) :]


@pytest.mark.usefixtures("small_backlog")
@pytest.mark.parametrize("is_subscribed", [True, False])
async def test_who_reads_late_misses_nothing(
    api: LiveApi, user_id: UUID, script: Script, is_subscribed: bool
) -> None:
    await script.go_on(1)
    async with api.peer(user_id, **lazily(api)) as peer:
        await peer.ask("ping")
        if is_subscribed:
            await peer.ask("subscribe_execution", execution_id=script.run_id)
        await script.go_on(1)
        await flood(script)
        await api.told()
        calls = await script.calls()
        heard = [await peer.next() for _ in calls]
        assert transcript(heard, script.run_id) == calls
        assert (await peer.ask("ping"))["type"] == "pong"


async def test_who_asks_and_never_reads_the_answers_is_closed(
    api: LiveApi, user_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_limits, "SOCKET_STALL_SECONDS_MAX", 0.2)
    monkeypatch.setattr(socket_limits, "SOCKET_BACKLOG_MESSAGES_MAX", 5)
    monkeypatch.setattr(socket_limits, "SOCKET_MESSAGES_BURST", 10**9)
    monkeypatch.setattr(socket_limits, "SOCKET_USER_MESSAGES_BURST", 10**9)
    async with api.peer(user_id, **lazily(api)) as peer:
        await peer.ask("ping")
        asking = asyncio.create_task(ask_for_ever(peer))
        await until(lambda: api.services.feed.position is None)
        asking.cancel()
        closed = await peer.closed()
    assert (closed.code, closed.reason) == (4408, "too_slow")


async def ask_for_ever(peer: Peer) -> None:
    with suppress(ConnectionClosed):
        while True:
            await peer.socket.send('{"type": "' + "x" * 100 + '"}')
