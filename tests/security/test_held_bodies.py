"""S17: whoever sends large bodies takes memory, and time, from nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from api.http import large_bodies
from api.http.large_bodies import LargeBodies
from domain.limits import memory_limits, request_limits
from runtime import clock
from runtime.backlog import Backlog
from tests.support.api import Caller, Platform, answered, api, eventually
from tests.support.graphs import echo
from tests.support.wire import Wire, Wires, wires

MINE = 2
WORK_SECONDS = 0.1
BODY = b" " * (request_limits.REQUEST_BYTES_MAX + 1)


@pytest.fixture
async def http(
    installation: Platform, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    """An API in which large bodies find little room."""
    monkeypatch.setattr(memory_limits, "LARGE_BODIES_COMING", 2 * MINE)
    monkeypatch.setattr(memory_limits, "LARGE_BODIES_COMING_PER_USER", MINE)
    monkeypatch.setattr(memory_limits, "ROOM_SECONDS_MAX", 0.3)
    async with api(installation.settings) as client:
        yield client


@pytest.fixture
async def lines(http: httpx2.AsyncClient) -> AsyncIterator[Wires]:
    async with wires(http) as found:
        yield found


async def _held(lines: Wires, user: Caller) -> Wire:
    """A connection on which a large body is not yet whole."""
    wire = await lines.connect()
    head = (
        f"POST /api/v1/graphs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: {user.headers['Authorization']}\r\n"
        f"Content-Length: {len(BODY) + 1}\r\n\r\n"
    )
    await wire.send(head.encode() + BODY)
    return wire


@pytest.mark.holds("S17")
async def test_large_bodies_of_a_user_have_little_room(
    installation: Platform, http: httpx2.AsyncClient, lines: Wires
) -> None:
    mine, theirs = await installation.user(), await installation.user()
    held = [await _held(lines, mine) for _ in range(MINE)]
    refused = await (await _held(lines, mine)).answer()
    assert (refused.status, refused.slug) == (503, "unavailable")
    assert refused.headers["retry-after"] == "1"
    large = {"graph": echo() | {"unknown": BODY.decode()}}
    for user, body in ((mine, {"graph": echo()}), (theirs, large)):
        answered(await _post(http, user, body))
    held[0].close()

    async def has_room() -> bool:
        return (await _post(http, mine, large)).status_code == 200

    await eventually(has_room)
    await held[1].send(b" ")
    assert (await held[1].answer()).status == 400


async def _post(http: httpx2.AsyncClient, user: Caller, body: object) -> httpx2.Response:
    return await http.post("/api/v1/graphs", json=body, headers=user.headers)


async def test_who_has_many_large_bodies_leaves_time_between_them() -> None:
    bodies = LargeBodies(Backlog(memory_limits.ANSWERS_BYTES_MAX))
    began: list[tuple[str, float]] = []

    async def work(scope: Any, _receive: Any, _send: Any) -> None:
        user_id = scope["user"]
        await large_bodies.permit(scope, user_id)
        began.append((user_id, clock.monotonic()))
        await asyncio.sleep(WORK_SECONDS)

    scopes: list[Any] = [{"state": {}, "user": user_id} for user_id in ("many", "many", "single")]
    await asyncio.gather(*(bodies.handle(one, no, no, work) for one in scopes))
    (first, start), (second, _), (third, end) = began
    assert (first, second, third) == ("many", "single", "many")
    assert end - start > 1.8 * WORK_SECONDS


async def no(*_: Any) -> Any:
    """Nothing comes, and nothing goes out."""
