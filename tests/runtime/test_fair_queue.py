from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from runtime.fair_queue import FairQueue


class Scene:
    """Units of work that last until they are told to end."""

    def __init__(self, queue: FairQueue) -> None:
        self.begun: list[str] = []
        self._queue = queue
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *units: str) -> None:
        """A unit is named after its user, such as `a1`."""
        for unit in units:
            self._ends[unit] = asyncio.Event()
            self._tasks[unit] = asyncio.create_task(self._work(unit))
        await asyncio.sleep(0)

    async def end(self, unit: str) -> None:
        self._ends[unit].set()
        await self._tasks[unit]
        await asyncio.sleep(0)

    def cancel(self, unit: str) -> asyncio.Task[None]:
        self._tasks[unit].cancel()
        return self._tasks[unit]

    async def end_all(self) -> None:
        for end in self._ends.values():
            end.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _work(self, unit: str) -> None:
        async with self._queue.place(unit[0]):
            self.begun.append(unit)
            await self._ends[unit].wait()


async def test_the_next_place_is_for_whoever_has_none() -> None:
    scene = Scene(FairQueue(2))
    await scene.come("a1", "a2", "a3", "a4", "a5", "b1", "c1")
    assert scene.begun == ["a1", "a2"]
    await scene.end("a1")
    assert scene.begun[2:] == ["b1"]
    await scene.end("a2")
    assert scene.begun[3:] == ["c1"]
    await scene.end_all()
    assert scene.begun[4:] == ["a3", "a4", "a5"]


async def test_a_single_place_goes_round() -> None:
    scene = Scene(FairQueue(1))
    await scene.come("a1", "a2", "a3", "b1", "b2", "c1")
    for unit in ("a1", "b1", "c1", "a2", "b2", "a3"):
        assert scene.begun[-1] == unit
        await scene.end(unit)


async def test_who_comes_again_and_again_is_not_served_alone() -> None:
    scene = Scene(FairQueue(1))
    await scene.come("a1", "a2", "a3", "b1")
    for last, comes in (("a1", "c1"), ("b1", "b2"), ("c1", "c2")):
        await scene.come(comes)
        await scene.end(last)
    assert scene.begun == ["a1", "b1", "c1", "a2"]
    await scene.end_all()


async def test_beyond_the_share_of_one_user_places_stay_for_others() -> None:
    scene = Scene(FairQueue(3, share=2))
    await scene.come("a1", "a2", "a3", "a4")
    assert scene.begun == ["a1", "a2"]
    await scene.come("b1")
    assert scene.begun == ["a1", "a2", "b1"]
    await scene.end("b1")
    assert scene.begun == ["a1", "a2", "b1"]
    await scene.end("a1")
    assert scene.begun[3:] == ["a3"]
    await scene.end_all()


async def test_who_gives_up_waiting_is_passed_over() -> None:
    scene = Scene(FairQueue(1))
    await scene.come("a1", "a2", "b1", "c1")
    cancelled = scene.cancel("b1")
    await scene.end("a1")
    assert (cancelled.cancelled(), scene.begun) == (True, ["a1", "c1"])
    await scene.end("c1")
    assert scene.begun[2:] == ["a2"]
    await scene.end_all()


@pytest.mark.parametrize("given_first", [True, False])
async def test_who_gives_up_in_the_moment_of_being_served_passes_the_place_on(
    given_first: bool,
) -> None:
    queue = FairQueue(1)
    scene = Scene(queue)
    holding = queue.place("a")
    await holding.__aenter__()
    await scene.come("b1", "c1")
    if not given_first:
        scene.cancel("b1")
    await holding.__aexit__(None, None, None)
    if given_first:
        scene.cancel("b1")
    for _ in range(3):
        await asyncio.sleep(0)
    assert scene.begun == ["c1"]
    await scene.end_all()
    await scene.come("a2")
    assert scene.begun == ["c1", "a2"]
    await scene.end_all()


async def test_who_has_gone_is_forgotten() -> None:
    queue = FairQueue(2)
    for number in range(10):
        async with queue.place(f"user {number}"):
            pass
    assert not queue._next_round
    async with queue.place("who stays"):
        for _ in range(10):
            async with queue.place("who comes and goes"):
                pass
        assert queue._next_round.keys() == {"who comes and goes"}


@pytest.mark.parametrize("seed", range(50))
async def test_whatever_happens_no_place_is_lost_or_given_twice(seed: int) -> None:
    chance = random.Random(seed)
    places, share = chance.randint(1, 4), chance.randint(1, 4)
    queue, held = FairQueue(places, share), Counter[str]()

    async def work(user: str, ticks: int) -> tuple[int, int]:
        async with queue.place(user):
            held[user] += 1
            most = held.total(), held[user]
            try:
                for _ in range(ticks):
                    await asyncio.sleep(0)
            finally:
                held[user] -= 1
        return most

    tasks = []
    for _ in range(60):
        tasks.append(asyncio.create_task(work(chance.choice("abc"), chance.randint(0, 3))))
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    for one in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(one, BaseException):
            assert isinstance(one, asyncio.CancelledError)
        else:
            assert one[0] <= places
            assert one[1] <= share
    assert (queue._free, queue._waiting, queue._held) == (places, {}, {})
