"""Who may have much in memory: few at once, or the memory of the process would not do."""

from __future__ import annotations

from runtime.fairness import FairQueue


class Turn:
    """The right to have much in memory, taken when it is needed."""

    def __init__(self, crowd: FairQueue, user_id: str) -> None:
        self._crowd = crowd
        self._user_id = user_id
        self._is_held = False

    async def take(self) -> None:
        """Wait for it, unless it is held."""
        if not self._is_held:
            await self._crowd.enter(self._user_id)
            self._is_held = True

    def give_back(self) -> None:
        if self._is_held:
            self._is_held = False
            self._crowd.leave(self._user_id)
