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

    def follow(self, moment: datetime, asked_at: float) -> None:
        answered_at = self.monotonic()
        latest = moment + timedelta(seconds=answered_at - asked_at)
        believed = moment if self._followed is None else self.now()
        self._followed = min(max(believed, moment), latest), answered_at

    def stop_following(self) -> None:
        self._followed = None


_clock = Clock(lambda: datetime.now(UTC), time.monotonic)


def now() -> datetime:
    """The present moment, in UTC: by the database's clock as soon as we follow that."""
    return _clock.now()


def follow(moment: datetime, asked_at: float) -> None:
    """Go by the clock that has just said `moment`, and was asked at `asked_at` of `monotonic`.

    Hosts whose own clocks differ, or jump, then agree about every moment that one of them writes
    down. The answer took a while, perhaps a long one, and when in between it was made nobody knows:
    what we believe is moved no further than needed to have been possible then. So we are behind the
    other clock by no more than the quickest answer took, and never ahead of it.
    """
    _clock.follow(moment, asked_at)


def stop_following() -> None:
    """Go by our own clock again."""
    _clock.stop_following()


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return _clock.monotonic()


def monotonic_us() -> int:
    """Microseconds on the same clock."""
    return int(_clock.monotonic() * 1_000_000)
