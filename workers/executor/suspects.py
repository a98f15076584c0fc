"""Runs that may end this process are driven a few at a time, so that they take few others along.

The rule of who is suspect, and how, is in `domain/engine/suspicion.py`. A run leaves its place when
something came of it, or when it has lived for long enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

from domain.engine.run import Run
from domain.engine.suspicion import Suspicion
from domain.limits import worker_limits


class Watch:
    """Looks at one run under suspicion, and lets the next one in as soon as it may."""

    def __init__(self, run: Run, worker: str, suspicion: Suspicion, place: ExitStack) -> None:
        self._run = run
        self._worker = worker
        self._place = place
        self._seconds = suspicion.watch_seconds
        self._has_begun = False
        self.is_alone = suspicion.wants_to_be_alone

    def begin(self, survived: Callable[[], None]) -> None:
        """From the claim on. `survived` has it recorded that a run alone has lived."""
        self._has_begun = True
        over = survived if self.is_alone else self._place.close
        timer = asyncio.get_running_loop().call_later(self._seconds, over)
        self._place.callback(timer.cancel)
        self.look()

    def look(self) -> None:
        """Something of the run has become durable."""
        if not self._has_begun:
            return
        is_over = not self._run.is_alone if self.is_alone else self._is_cleared
        if is_over:
            self._place.close()

    @property
    def _is_cleared(self) -> bool:
        return not self._run.suspicion(self._worker).is_any


class Suspects:
    """Places: one for a run that must be alone, and a few for others."""

    def __init__(self) -> None:
        self._alone = asyncio.Semaphore(1)
        self._together = asyncio.Semaphore(worker_limits.SUSPECTS_TOGETHER_MAX)

    @asynccontextmanager
    async def watched(self, run: Run, worker: str, suspicion: Suspicion) -> AsyncIterator[Watch]:
        """Wait for a place, and keep it until the watch or this context is over."""
        semaphore = self._alone if suspicion.wants_to_be_alone else self._together
        await semaphore.acquire()
        with ExitStack() as place:
            place.callback(semaphore.release)
            yield Watch(run, worker, suspicion, place)
