"""The only place that reads a clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def monotonic_us() -> int:
    """Microseconds on the same clock."""
    return time.monotonic_ns() // 1_000
