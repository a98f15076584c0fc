"""How much memory a run in hand takes: it is weighed when it may have come to hold too much."""

from __future__ import annotations

import asyncio

from domain.engine.run import Run
from domain.engine.weights import weighing
from domain.json_values import weight
from domain.limits import memory_limits


class RunWeigher:
    """Weighs one run. To do so after each event would take far longer than to drive it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        # What it held before is not known: it is weighed soon.
        self._room = memory_limits.RUN_WEIGHED_BYTES_MIN
        self._made = run.made

    def take(self, *encoded: bytes) -> None:
        """Say what comes into the run."""
        for one in encoded:
            self._room -= weight(one)

    @property
    def are_due(self) -> bool:
        """Whether the run may hold too much, which is not known yet.

        One that was too heavy is not weighed again: it has got no executions since, so it must
        fail. If it went on, whoever folds its events would see others than were driven.
        """
        is_light = self._run.weight <= memory_limits.RUN_BYTES_MAX
        return is_light and self._run.made - self._made > self._room

    async def weigh(self) -> None:
        """Weigh the run. Whoever folds it waits for that."""
        run = self._run
        run.weight = await self._weigh(memory_limits.RUN_BYTES_MAX)
        left = memory_limits.RUN_BYTES_MAX - run.weight
        self._room = max(left, memory_limits.RUN_WEIGHED_BYTES_MIN)
        self._made = run.made

    async def weighs_more(self, most: int) -> bool:
        """Whether it takes more than so many bytes now."""
        return await self._weigh(most) > most

    async def _weigh(self, most: int) -> int:
        found = 0
        for total in weighing(self._run, most):
            found = total
            await asyncio.sleep(0)
        return found
