"""How fast a peer may speak."""

from __future__ import annotations

import asyncio

from runtime import clock


class TokenBucket:
    """Lets `burst` messages through at once, and `rate` a second in the long run."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at = clock.monotonic()

    def take(self) -> bool:
        """Whether one more message may pass now; it counts if it may."""
        self._fill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def turn(self) -> None:
        """Wait until one more message may pass, after all who wait already."""
        self._fill()
        self._tokens -= 1
        try:
            if self._tokens < 0:
                await asyncio.sleep(-self._tokens / self._rate)
        except asyncio.CancelledError:
            # It was not sent.
            self._tokens += 1
            raise

    def _fill(self) -> None:
        now = clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
