"""Room in memory that users share, by weight."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import Callable, Collection
from itertools import count

from domain.errors import NoRoom
from domain.limits import memory_limits
from runtime import clock

FULL = "Too much is in memory at this moment."


class _Visitor:
    """Somebody who wants room. `beside` is what they have themselves, and keep meanwhile."""

    def __init__(self, user_id: str, weight: int, beside: int) -> None:
        self.user_id = user_id
        self.weight = weight
        self.beside = beside
        self.passed_by = 0
        """The weight of those who came in although this one was before them."""
        self.admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class MemoryPool:
    """So many bytes, for what is in memory for all users at once, and a share of each of them.

    Whoever wants more than all of them, or than a share, has it when nobody else has anything, or
    nothing else of this user is there. Users take turns, after one who has something already. Who
    does not fit in is passed by those who do, until these were as much as there is room in all.
    """

    def __init__(self, size: int, share: int) -> None:
        self._size = size
        self._share = share
        self._taken = 0
        self._taken_by: Counter[str] = Counter()
        self._waiting: list[_Visitor] = []
        self._turns: dict[str, int] = {}
        """By user, the higher the later they were let in; of those that matter while some wait."""
        self._turn = count(1)
        self._collected_at: float | None = None
        self._collection: asyncio.TimerHandle | None = None
        self.pressed: list[Callable[[], None]] = []
        """Called when somebody has to wait: they give back what they can do without."""

    @property
    def is_pressed(self) -> bool:
        """Somebody waits."""
        return bool(self._waiting)

    async def enter(self, user_id: str, weight: int, beside: int = 0) -> None:
        """Wait for so much room, to be given back by `leave`. `beside`: what the caller has, and
        keeps until then.

        Raises NoRoom after ROOM_SECONDS_MAX, or at once for a second one who has something: who
        waits may have what others wait for.
        """
        visitor = _Visitor(user_id, weight, beside)
        self._waiting.append(visitor)
        self._admit()
        if visitor.admitted.done():
            return
        if beside and any(one.beside for one in self._waiting if one is not visitor):
            self._withdraw(visitor)
            raise NoRoom(FULL)
        for give_back in self.pressed:
            give_back()
        self._collect_soon()
        try:
            async with asyncio.timeout(memory_limits.ROOM_SECONDS_MAX):
                await visitor.admitted
        except TimeoutError:
            self._withdraw(visitor)
            raise NoRoom(FULL) from None
        except asyncio.CancelledError:
            self._withdraw(visitor)
            raise

    def leave(self, user_id: str, weight: int) -> None:
        """Give room back."""
        self._taken -= weight
        self._taken_by[user_id] -= weight
        if not self._taken_by[user_id]:
            del self._taken_by[user_id]
        self._admit()

    def leave_after(self, parts: Collection[object], user_id: str, weight: int) -> None:
        """Give room back when the last of the parts is no more."""
        loop = asyncio.get_running_loop()
        ended = count(1)

        def end() -> None:
            # On whatever thread, and the loop may have ended too.
            if next(ended) == len(finalizers) and not loop.is_closed():
                loop.call_soon_threadsafe(self.leave, user_id, weight)

        finalizers = [weakref.finalize(part, end) for part in parts]
        for finalizer in finalizers:
            finalizer.atexit = False

    def _admit(self) -> None:
        """Let in whoever may come in, in turn."""
        while (visitor := self._next()) is not None:
            self._waiting.remove(visitor)
            self._taken += visitor.weight
            self._taken_by[visitor.user_id] += visitor.weight
            self._turns[visitor.user_id] = next(self._turn)
            visitor.admitted.set_result(None)
        if not self._waiting:
            self._turns.clear()

    def _next(self) -> _Visitor | None:
        passed: list[_Visitor] = []
        for visitor in sorted(self._waiting, key=self._rank):
            if visitor.admitted.done() or not self._has_share_for(visitor):
                continue
            if self._has_room_for(visitor):
                for one in passed:
                    one.passed_by += visitor.weight
                return visitor
            if visitor.passed_by >= self._size:
                return None
            passed.append(visitor)
        return None

    def _rank(self, visitor: _Visitor) -> tuple[bool, int]:
        """Who has something already comes first: it gives that back the sooner."""
        return not visitor.beside, self._turns.get(visitor.user_id, 0)

    def _has_room_for(self, visitor: _Visitor) -> bool:
        others = self._taken - visitor.beside
        return others <= 0 or self._taken + visitor.weight <= self._size

    def _has_share_for(self, visitor: _Visitor) -> bool:
        taken = self._taken_by[visitor.user_id]
        return taken <= visitor.beside or taken + visitor.weight <= self._share

    def _withdraw(self, visitor: _Visitor) -> None:
        if visitor in self._waiting:
            self._waiting.remove(visitor)
            self._admit()
        else:
            self.leave(visitor.user_id, visitor.weight)

    def _collect_soon(self) -> None:
        """See to it that what is in cycles leaves too: now and then, for it stops everything."""
        if self._collection is not None:
            return
        wait = 0.0
        if self._collected_at is not None:
            wait = self._collected_at + memory_limits.ROOM_COLLECT_SECONDS - clock.monotonic()
        loop = asyncio.get_running_loop()
        self._collection = loop.call_later(max(0.0, wait), self._collect)

    def _collect(self) -> None:
        self._collection = None
        if self._waiting:
            gc.collect()
            self._collected_at = clock.monotonic()
            self._collect_soon()
