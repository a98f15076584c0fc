"""Sharing what there is little of among users, so that nobody's backlog becomes another's wait."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairQueue:
    """Hands out `places`, of which one user has at most `share` at once; None: all there are.

    They go round (start-time fair queueing): a round gives each user who wants one a place, and
    whoever comes anew takes part in the round that is going on. So a user with none gets the next
    place that is free, however much others have waiting, unless more such users were there before.
    """

    def __init__(self, places: int, share: int | None = None) -> None:
        self._free = places
        self._share = places if share is None else share
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By user, who was served longest ago first; none of them empty."""
        self._round = 0
        self._next_round: dict[str, int] = {}
        """By user: the round of the next turn, where it is a later one than this."""

    @asynccontextmanager
    async def place(self, user_id: str) -> AsyncIterator[None]:
        """Wait for a place, and have it until the end of the block."""
        await self.enter(user_id)
        try:
            yield
        finally:
            self.leave(user_id)

    async def enter(self, user_id: str) -> None:
        """Wait for a place, to be given back by `leave`."""
        # While a place is free, nobody waits but those who have their share.
        if self._free and self._held[user_id] < self._share:
            self._take(user_id)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._withdraw(user_id, turn)
            else:
                self.leave(user_id)
            raise

    def _take(self, user_id: str) -> None:
        self._free -= 1
        self._held[user_id] += 1
        taken = self._round_of(user_id)
        if taken > self._round:
            self._round = taken
            later = {user: turn for user, turn in self._next_round.items() if turn > taken}
            self._next_round = later
        self._next_round[user_id] = taken + 1

    def _round_of(self, user_id: str) -> int:
        return max(self._round, self._next_round.get(user_id, 0))

    def leave(self, user_id: str) -> None:
        """Give a place back."""
        self._free += 1
        self._held[user_id] -= 1
        if not self._held[user_id]:
            del self._held[user_id]
        self._grant()
        if not self._held:
            self._next_round.clear()  # what nobody wants is not remembered

    def _grant(self) -> None:
        while self._free:
            entitled = [user for user in self._waiting if self._held[user] < self._share]
            if not entitled:
                return
            user_id = min(entitled, key=lambda user: (self._round_of(user), self._held[user]))
            turns = self._waiting.pop(user_id)
            turn = turns.popleft()
            if not turn.cancelled():  # else its task has not come round to withdrawing it
                turn.set_result(None)
                self._take(user_id)
            if turns:
                self._waiting[user_id] = turns

    def _withdraw(self, user_id: str, turn: asyncio.Future[None]) -> None:
        turns = self._waiting.get(user_id, deque())
        if turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[user_id]
