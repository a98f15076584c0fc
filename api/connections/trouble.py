"""What goes on for a while and is said twice: when it begins, and when it is over."""

from __future__ import annotations

from typing import Any

import structlog

from domain.limits import connection_limits
from runtime import clock

log = structlog.get_logger()


class Trouble:
    """Whoever is outside can cause it as often as they like, so each time only counts."""

    def __init__(self, begins: str, ends: str) -> None:
        """The events that are logged."""
        self._begins = begins
        self._ends = ends
        self._times = 0
        self._last = 0.0

    def meet(self, **about: Any) -> None:
        """It is there, now."""
        if not self._times:
            log.warning(self._begins, **about)
        self._times += 1
        self._last = clock.monotonic()

    def look(self) -> None:
        """It is over when it has not been met for TROUBLE_SECONDS."""
        if self._times and clock.monotonic() - self._last > connection_limits.TROUBLE_SECONDS:
            log.info(self._ends, times=self._times)
            self._times = 0
