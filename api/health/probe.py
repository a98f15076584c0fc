"""A question that costs something, asked once for all who want to know at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from domain.limits import process_limits
from runtime import clock

T = TypeVar("T")


class Probe(Generic[T]):
    """Its answer counts for HEALTH_FRESH_SECONDS.

    Nobody who waits in vain ends the question: a silent database would not let go of it, and
    would be asked by ever more.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[T] | None = None
        self._asked_at = 0.0

    async def answer(self) -> T:
        """Raises what the question raises, and TimeoutError after HEALTH_SECONDS_MAX."""
        asking = self._asking
        if asking is None or (asking.done() and self._is_stale()):
            asking = self._asking = asyncio.ensure_future(self._ask())
            asking.add_done_callback(_hear)
            self._asked_at = clock.monotonic()
        done, _ = await asyncio.wait({asking}, timeout=process_limits.HEALTH_SECONDS_MAX)
        if not done:
            raise TimeoutError
        return asking.result()

    def end(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    def _is_stale(self) -> bool:
        return clock.monotonic() - self._asked_at > process_limits.HEALTH_FRESH_SECONDS


def _hear(asking: asyncio.Task[T]) -> None:
    """Whoever asked may be gone when it fails."""
    if not asking.cancelled():
        asking.exception()
