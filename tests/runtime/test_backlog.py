"""What is kept for slow peers is shared by users, so that some is left for whoever comes anew."""

from __future__ import annotations

import asyncio
import gc

import pytest

from domain.errors import Unavailable
from domain.limits import memory_limits
from runtime.backlog import Backlog


def filled(backlog: Backlog, user_id: str) -> int:
    """How much a user gets who wants as much as there is."""
    share = backlog.share(user_id)
    held = 0
    while share.has_room(1):
        share.put(1)
        held += 1
    return held


async def test_one_user_alone_has_half_of_it() -> None:
    backlog = Backlog(100)
    keep = backlog.share("many")
    assert filled(backlog, "many") == 50
    assert not keep.has_room(1)
    assert keep.has_room()


async def test_whoever_comes_anew_finds_some() -> None:
    backlog = Backlog(100)
    shares = [backlog.share(str(number)) for number in range(4)]
    assert [filled(backlog, share.user_id) for share in shares] == [50, 25, 12, 6]
    single = backlog.share("single")
    assert single.has_room(7)
    assert not single.has_room(8)


async def test_who_has_more_than_is_left_meanwhile_gets_nothing_until_it_is_taken() -> None:
    backlog = Backlog(100)
    first, second = backlog.share("first"), backlog.share("second")
    first.put(50)
    second.put(25)
    assert not first.has_room()
    first.take(26)
    assert first.has_room(10)


async def test_a_share_is_there_for_as_long_as_somebody_has_it() -> None:
    backlog = Backlog(100)
    share = backlog.share("one")
    share.put(10)
    assert backlog.share("one") is share
    share.take(10)
    del share
    gc.collect()
    assert not backlog._shares
    assert backlog.left == 100


async def test_who_waits_goes_on_when_there_is_room() -> None:
    backlog = Backlog(100)
    share = backlog.share("one")
    share.put(50)
    waiting = asyncio.create_task(share.room(10))
    await asyncio.sleep(0)
    share.take(5)
    await asyncio.sleep(0)
    assert not waiting.done()
    share.take(5)
    await asyncio.wait_for(waiting, 1)


async def test_room_that_others_give_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limits, "ROOM_LOOK_SECONDS", 0.01)
    backlog = Backlog(100)
    share, other = backlog.share("one"), backlog.share("other")
    share.put(40)
    other.put(40)
    waiting = asyncio.create_task(share.room(10))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    other.take(40)
    await asyncio.wait_for(waiting, 1)


async def test_nobody_waits_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_limits, "ROOM_SECONDS_MAX", 0.05)
    share = Backlog(100).share("one")
    share.put(50)
    with pytest.raises(Unavailable):
        await share.room(1)
