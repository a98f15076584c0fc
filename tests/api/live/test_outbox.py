"""What the sockets of a user hold together is bounded, and the one that holds most gives way."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from api.live.outbox import Outbox, Outboxes
from domain import limits, memory_limits

BYTES = 100_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limits, "MESSAGES_BYTES_MAX", BYTES)
    monkeypatch.setattr(memory_limits, "MESSAGES_LIGHT_BYTES", BYTES // 10)
    monkeypatch.setattr(limits, "OUTPUTS_PAGE_BYTES", BYTES // 10)


def given_up(*outboxes: Outbox) -> list[bool]:
    return [outbox.overflowed.done() for outbox in outboxes]


async def test_of_a_users_sockets_the_fullest_gives_way() -> None:
    with ExitStack() as stack:
        opened = Outboxes().opened
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
        opened = Outboxes().opened
        deaf, quick, slow = (stack.enter_context(opened("many")) for _ in range(3))
        deaf.put(b"x" * 30_000)
        slow.put(b"x" * 12_000)
        quick.put(b"x" * 1_000)
        assert (deaf.is_crowded, slow.is_crowded, quick.is_crowded) == (True, True, False)


async def test_who_has_left_holds_nothing() -> None:
    outboxes = Outboxes()
    with outboxes.opened("one") as outbox:
        outbox.put(b"x" * 30_000)
        assert outboxes._backlog.left == BYTES - 30_000
    assert outboxes._backlog.left == BYTES
    assert not outboxes._of_user
