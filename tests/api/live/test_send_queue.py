"""What the sockets of a user hold together is bounded, and the one that holds most gives way."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from api.live.send_queue import SendQueue, SendQueues
from domain.limits import memory_limits, request_limits

BYTES = 100_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limits, "MESSAGES_BYTES_MAX", BYTES)
    monkeypatch.setattr(memory_limits, "MESSAGES_LIGHT_BYTES", BYTES // 10)
    monkeypatch.setattr(request_limits, "OUTPUTS_PAGE_BYTES", BYTES // 10)


def given_up(*send_queues: SendQueue) -> list[bool]:
    return [send_queue.overflowed.done() for send_queue in send_queues]


async def test_of_a_users_sockets_the_fullest_gives_way() -> None:
    with ExitStack() as stack:
        opened = SendQueues().opened
        deaf, slow, quick = (stack.enter_context(opened("many")) for _ in range(3))
        other = stack.enter_context(opened("other"))
        other.put(b"x" * 10_000)
        deaf.put(b"x" * 30_000)
        slow.put(b"x" * 14_000)
        assert given_up(deaf, slow, quick, other) == [False] * 4
        quick.put(b"x" * 5_000)
        assert given_up(deaf, slow, quick, other) == [True, False, False, False]
        quick.put(b"x" * 5_000)
        assert given_up(slow, quick, other) == [False] * 3


async def test_who_holds_little_waits_for_nobody() -> None:
    with ExitStack() as stack:
        opened = SendQueues().opened
        deaf, quick, slow = (stack.enter_context(opened("many")) for _ in range(3))
        deaf.put(b"x" * 30_000)
        slow.put(b"x" * 12_000)
        quick.put(b"x" * 1_000)
        assert (deaf.is_crowded, slow.is_crowded, quick.is_crowded) == (True, True, False)


async def test_who_has_left_holds_nothing() -> None:
    send_queues = SendQueues()
    with send_queues.opened("one") as send_queue:
        send_queue.put(b"x" * 30_000)
        assert send_queues._backlog.left == BYTES - 30_000
    assert send_queues._backlog.left == BYTES
    assert not send_queues._of_user
