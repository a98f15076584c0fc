"""Answers that peers have still to take are bounded, for each user and in all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from blocks.data import StoreValue
from domain.limits import memory_limits
from tests.support.api import Caller, Platform, Saved, answered, api, eventually
from tests.support.graphs import Document, graph, node
from tests.support.wire import Wires, wires

ROOM = 10_000_000
"""Of which one user has half."""
SIZE = 2_000_000
HEAD = b"GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n"


class Served(Platform):
    """Beside an installation, an API that keeps little for slow peers."""

    lines: Wires

    async def slow_reader(self, caller: Caller, path: str) -> None:
        """Ask for something and read no more of it than its head."""
        line = await self.lines.connect(SO_RCVBUF=4_096)
        authorization = caller.headers["Authorization"]
        await line.send(HEAD % (path.encode(), authorization.encode()))
        assert (await line.head()).status == 200


@pytest.fixture
async def served(installation: Platform, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(memory_limits, "ANSWERS_BYTES_MAX", ROOM)
    monkeypatch.setattr(memory_limits, "ROOM_SECONDS_MAX", 0.1)
    async with api(installation.settings) as http, wires(http) as lines:
        found = Served(installation.settings, installation.log, http)
        found.lines = lines
        yield found


def holding(size: int) -> Document:
    return graph(node("kept", StoreValue, input="x" * size))


async def with_slow_readers(served: Served, caller: Caller) -> Saved:
    """A graph of theirs that two of their connections read slowly: for a third there is no room."""
    large = await caller.save(holding(SIZE))
    for _ in range(2):
        await served.slow_reader(caller, large.path)
    return large


async def test_a_large_answer_arrives_whole(served: Served) -> None:
    caller = await served.user()
    large = await caller.save(holding(SIZE))
    answer = await caller.get(large.path)
    assert int(answer.headers["Content-Length"]) == len(answer.content) > SIZE
    assert answered(answer)["nodes"] == large.model["nodes"]


async def test_who_leaves_much_unread_is_refused_what_is_large(served: Served) -> None:
    caller = await served.user()
    small = await caller.save(holding(10))
    large = await with_slow_readers(served, caller)
    refused = await caller.get(large.path)
    message = answered(refused, 503)["message"]
    assert message == "Too much that was answered before has still to be read."
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (refused.headers["Retry-After"], refused.headers["Cache-Control"]) == ("1", "no-store")
    answered(await caller.get(small.path))


async def test_a_command_is_refused_before_it_is_done(served: Served) -> None:
    caller = await served.user()
    large = await with_slow_readers(served, caller)
    answered(await caller.put(large.path, holding(SIZE)), 503)
    assert len(await caller.read("/api/v1/graphs")) == 1
    assert (await caller.read("/api/v1/graphs"))[0]["version"] == 1


async def test_nobody_else_is_refused_anything(served: Served) -> None:
    caller, other = await served.user(), await served.user()
    theirs = await other.save(holding(SIZE))
    large = await with_slow_readers(served, caller)
    assert (await other.get(theirs.path)).status_code == 200
    assert (await caller.get(large.path)).status_code == 503


async def test_what_was_taken_or_given_up_counts_no_more(served: Served) -> None:
    caller = await served.user()
    large = await with_slow_readers(served, caller)
    assert (await caller.get(large.path)).status_code == 503
    served.lines.close()

    async def is_answered() -> bool:
        return (await caller.get(large.path)).status_code == 200

    await eventually(is_answered)
    for _ in range(6):
        assert await is_answered()
