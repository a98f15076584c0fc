"""Room in memory: users take turns at what does not fit in all at once."""

from __future__ import annotations

import asyncio
import gc

import pytest

from domain.errors import NoRoom
from domain.limits import memory_limits
from runtime.memory_pool import MemoryPool


async def test_who_fits_in_does_not_wait_and_who_does_not_waits_for_room() -> None:
    room = MemoryPool(10, 10)
    await room.enter("ada", 4)
    await room.enter("ada", 6)
    late = asyncio.create_task(room.enter("bob", 5))
    await asyncio.sleep(0)
    room.leave("ada", 4)
    await asyncio.sleep(0)
    assert not late.done()
    room.leave("ada", 6)
    await late


async def test_who_wants_more_than_all_has_it_alone() -> None:
    room = MemoryPool(10, 10)
    await room.enter("ada", 1)
    giant = asyncio.create_task(room.enter("ada", 100))
    await asyncio.sleep(0)
    assert not giant.done()
    room.leave("ada", 1)
    await giant


async def test_who_finds_no_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limits, "ROOM_SECONDS_MAX", 0.05)
    room = MemoryPool(10, 10)
    await room.enter("ada", 10)
    with pytest.raises(NoRoom):
        await room.enter("bob", 1)
    room.leave("ada", 10)
    await room.enter("bob", 10)


async def test_users_take_turns_at_the_door() -> None:
    room = MemoryPool(1, 1)
    await room.enter("ada", 1)
    order: list[str] = []

    async def visit(user_id: str) -> None:
        await room.enter(user_id, 1)
        order.append(user_id)
        room.leave(user_id, 1)

    crowd = [asyncio.create_task(visit(user)) for user in ("ada", "ada", "ada", "bob")]
    await asyncio.sleep(0)
    room.leave("ada", 1)
    await asyncio.gather(*crowd)
    assert order.index("bob") <= 1


class Part:
    def __init__(self) -> None:
        self.other: Part | None = None


async def test_room_is_given_back_with_the_last_part_of_what_took_it() -> None:
    room = MemoryPool(1, 1)
    await room.enter("ada", 1)
    one, other = Part(), Part()
    room.leave_after([one, other], "ada", 1)
    late = asyncio.create_task(room.enter("bob", 1))
    del one
    await asyncio.sleep(0.01)
    assert not late.done()
    del other
    await late


async def test_what_is_held_by_nothing_but_itself_makes_room() -> None:
    room = MemoryPool(1, 1)
    await room.enter("ada", 1)
    part = Part()
    part.other = part
    room.leave_after([part], "ada", 1)
    del part
    await room.enter("bob", 1)


async def test_what_is_in_cycles_is_looked_for_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To look for it stops everything, so each wait must not do it."""
    monkeypatch.setattr(memory_limits, "ROOM_SECONDS_MAX", 0.02)
    looks: list[None] = []
    monkeypatch.setattr(gc, "collect", lambda: looks.append(None))
    room = MemoryPool(1, 1)
    await room.enter("ada", 1)
    for _ in range(4):
        with pytest.raises(NoRoom):
            await room.enter("bob", 1)
    assert len(looks) == 1


async def test_who_waits_is_passed_by_who_fits_in_but_not_for_ever() -> None:
    room = MemoryPool(10, 10)
    await room.enter("ada", 8)
    large = asyncio.create_task(room.enter("bob", 9))
    await asyncio.sleep(0)
    for _ in range(5):
        await room.enter("cyd", 2)
        room.leave("cyd", 2)
    small = asyncio.create_task(room.enter("cyd", 2))
    await asyncio.sleep(0)
    assert not small.done(), "as much has passed as there is room in all"
    room.leave("ada", 8)
    await large
    room.leave("bob", 9)
    await small


async def test_one_user_has_a_share_at_most_unless_with_one_thing_alone() -> None:
    room = MemoryPool(10, 5)
    await room.enter("ada", 5)
    more = asyncio.create_task(room.enter("ada", 1))
    await asyncio.sleep(0)
    assert not more.done()
    await room.enter("bob", 5)
    room.leave("ada", 5)
    await more
    room.leave("bob", 5)
    await room.enter("bob", 9)
    room.leave("bob", 9)
    room.leave("ada", 1)
    await room.enter("ada", 7)


async def test_what_one_has_and_keeps_does_not_stand_in_the_way_alone() -> None:
    """A run of a heavy graph with a heavy sub-graph, both more than a share, or than all."""
    room = MemoryPool(10, 5)
    await room.enter("ada", 5)
    await room.enter("ada", 5, beside=5)
    room.leave("ada", 10)
    await room.enter("ada", 20)
    await room.enter("ada", 20, beside=20)
    other = asyncio.create_task(room.enter("bob", 1))
    await asyncio.sleep(0)
    assert not other.done()
    room.leave("ada", 40)
    await other


async def test_who_has_something_goes_first() -> None:
    room = MemoryPool(10, 10)
    await room.enter("ada", 4)
    await room.enter("bob", 4)
    new = asyncio.create_task(room.enter("cyd", 4))
    await asyncio.sleep(0)
    more = asyncio.create_task(room.enter("ada", 4, beside=4))
    await asyncio.sleep(0)
    room.leave("bob", 4)
    await more
    assert not new.done()
    room.leave("ada", 8)
    await new


async def test_two_who_have_something_do_not_wait_for_each_other() -> None:
    room = MemoryPool(10, 10)
    await room.enter("ada", 4)
    await room.enter("bob", 4)
    more = asyncio.create_task(room.enter("ada", 4, beside=4))
    await asyncio.sleep(0)
    with pytest.raises(NoRoom):
        await room.enter("bob", 4, beside=4)
    assert not more.done()
    room.leave("bob", 4)
    await more


async def test_whoever_can_do_without_gives_back_when_somebody_waits() -> None:
    room = MemoryPool(10, 10)
    await room.enter("ada", 10)
    room.pressed.append(lambda: room.leave("ada", 10))
    await room.enter("bob", 5)


async def test_who_gives_up_lets_those_behind_in() -> None:
    room = MemoryPool(10, 10)
    await room.enter("ada", 8)
    large = asyncio.create_task(room.enter("bob", 9))
    await asyncio.sleep(0)
    for _ in range(5):
        await room.enter("cyd", 2)
        room.leave("cyd", 2)
    small = asyncio.create_task(room.enter("cyd", 2))
    await asyncio.sleep(0)
    large.cancel()
    await small
    with pytest.raises(asyncio.CancelledError):
        await large
