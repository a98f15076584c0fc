"""What is logged again and again: some of it, and once a second how much more there was."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog
from structlog.typing import WrappedLogger

from domain.limits import process_limits
from runtime import clock

Kind = tuple[str, str]
"""A level, and the event or, of a library, the logger."""


class Repeats:
    """Lets so many lines of a kind through a second. Whoever is outside can cause lines, so a log
    must not grow as fast as they like.
    """

    def __init__(self, tell: Callable[[Kind, int], None]) -> None:
        """`tell` is called, in a thread, with how many lines of a kind were left out."""
        self._tell = tell
        self._lock = threading.Lock()
        self._second = 0
        self._passed: Counter[Kind] = Counter()
        self._left_out: Counter[Kind] = Counter()

    def sample(
        self, _: WrappedLogger, __: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """A processor for our own lines. Raises DropEvent."""
        if not self._admit(
            (event["level"], str(event["event"])[: process_limits.LOG_KIND_CHARS_MAX])
        ):
            raise structlog.DropEvent
        return event

    def filter(self, record: logging.LogRecord) -> bool:
        """The same for lines of the standard library's loggers."""
        return self._admit((record.levelname.lower(), record.name))

    def _admit(self, kind: Kind) -> bool:
        with self._lock:
            second = int(clock.monotonic())
            if second != self._second:
                self._second = second
                self._passed.clear()
            if self._passed[kind] < process_limits.LOG_REPEATS_MAX:
                self._passed[kind] += 1
                return True
            if not self._left_out:
                timer = threading.Timer(1, self._tell_all)
                timer.daemon = True
                timer.start()
            self._left_out[kind] += 1
            return False

    def _tell_all(self) -> None:
        with self._lock:
            left_out, self._left_out = self._left_out, Counter()
        for kind, count in left_out.items():
            self._tell(kind, count)
