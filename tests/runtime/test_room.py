"""Room in memory: users take turns at what does not fit in all at once."""

from __future__ import annotations

import asyncio

import pytest

from domain import memory_limits
from domain.errors import Unavailable
from runtime.room import Room


async def test_who_fits_in_does_not_wait_and_who_does_not_waits_for_room() -> None:
    room = Room(10)
    await room.enter("ada", 4)
    await room.enter("ada", 6)
    late = asyncio.create_task(room.enter("bob", 5))
    await asyncio.sleep(0)
    room.leave(4)
    await asyncio.sleep(0)
    assert not late.done()
    room.leave(6)
    await late


async def test_who_wants_more_than_all_has_it_alone() -> None:
    room = Room(10)
    await room.enter("ada", 1)
    giant = asyncio.create_task(room.enter("ada", 100))
    await asyncio.sleep(0)
    assert not giant.done()
    room.leave(1)
    await giant


async def test_who_finds_no_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limits, "ROOM_SECONDS_MAX", 0.05)
    room = Room(10)
    await room.enter("ada", 10)
    with pytest.raises(Unavailable):
        await room.enter("bob", 1)
    room.leave(10)
    await room.enter("bob", 10)


async def test_users_take_turns_at_the_door() -> None:
    room = Room(1)
    await room.enter("ada", 1)
    order: list[str] = []

    async def visit(user_id: str) -> None:
        await room.enter(user_id, 1)
        order.append(user_id)
        room.leave(1)

    crowd = [asyncio.create_task(visit(user)) for user in ("ada", "ada", "ada", "bob")]
    await asyncio.sleep(0)
    room.leave(1)
    await asyncio.gather(*crowd)
    assert order.index("bob") <= 1


class Part:
    def __init__(self) -> None:
        self.other: Part | None = None


async def test_room_is_given_back_with_the_last_part_of_what_took_it() -> None:
    room = Room(1)
    await room.enter("ada", 1)
    one, other = Part(), Part()
    room.leave_after([one, other], 1)
    late = asyncio.create_task(room.enter("bob", 1))
    del one
    await asyncio.sleep(0.01)
    assert not late.done()
    del other
    await late


async def test_what_is_held_by_nothing_but_itself_makes_room() -> None:
    room = Room(1)
    await room.enter("ada", 1)
    part = Part()
    part.other = part
    room.leave_after([part], 1)
    del part
    await room.enter("bob", 1)
