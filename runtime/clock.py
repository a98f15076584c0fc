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


def follow(moment: datetime | None) -> None:
    """Go by the clock that has just said `moment`; with None, by our own again.

    Hosts whose own clocks differ, or jump, then agree about every moment that one of them writes
    down. The answer took a while, so we are a little behind the other clock and never ahead of it.
    """
    global _followed  # noqa: PLW0603 - a process has one time
    _followed = None if moment is None else (moment, monotonic())


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def monotonic_us() -> int:
    """Microseconds on the same clock."""
    return time.monotonic_ns() // 1_000
