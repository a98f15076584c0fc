"""The only place that reads a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_followed: tuple[datetime, float] | None = None
"""A moment of the followed clock, and our monotonic clock at that moment."""


def now() -> datetime:
    """The present moment, in UTC: by the database's clock as soon as we follow that."""
    if _followed is None:
        return datetime.now(UTC)
    moment, at = _followed
    return moment + timedelta(seconds=monotonic() - at)


def follow(moment: datetime | None, asked: float = 0.0) -> None:
    """Go by the clock that said `moment`, having been asked at `asked` on our monotonic clock.

    Hosts whose own clocks differ, or jump, then agree about every moment that one of them writes
    down. With None, go by our own clock again.
    """
    global _followed  # noqa: PLW0603 - a process has one time
    _followed = None if moment is None else (moment, (asked + monotonic()) / 2)


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def monotonic_us() -> int:
    """Microseconds on the same clock."""
    return time.monotonic_ns() // 1_000
