"""The only place that reads a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """The time of one process: by a clock of its own, until it follows another one."""

    def __init__(self, wall: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        """`wall` says the moment in UTC, and `monotonic` seconds since any moment."""
        self._wall = wall
        self.monotonic = monotonic
        self._followed: tuple[datetime, float] | None = None
        """A moment of the followed clock, and the monotonic one at that moment."""

    def now(self) -> datetime:
        if self._followed is None:
            return self._wall()
        moment, at = self._followed
        return moment + timedelta(seconds=self.monotonic() - at)

    def follow(self, moment: datetime | None) -> None:
        self._followed = None if moment is None else (moment, self.monotonic())


_clock = Clock(lambda: datetime.now(UTC), time.monotonic)


def now() -> datetime:
    """The present moment, in UTC: by the database's clock as soon as we follow that."""
    return _clock.now()


def follow(moment: datetime | None) -> None:
    """Go by the clock that has just said `moment`; with None, by our own again.

    Hosts whose own clocks differ, or jump, then agree about every moment that one of them writes
    down. The answer took a while, so we are a little behind the other clock and never ahead of it.
    """
    _clock.follow(moment)


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return _clock.monotonic()


def monotonic_us() -> int:
    """Microseconds on the same clock."""
    return int(_clock.monotonic() * 1_000_000)
