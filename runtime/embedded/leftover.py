"""Finds the server that an earlier start left in a folder, and ends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from psutil import Process

log = structlog.get_logger()


class Leftover:
    """Whoever still lives in the `home` of the server `name`.

    No noted pid is believed, which may be another's by now. A process belongs here if it runs one
    of `programs`, and either was started for this home or has its `lock` open, or if it descends
    from such a process. Signals go to the process that was looked at, or to nobody.
    """

    def __init__(self, name: str, programs: frozenset[str], home: Path, lock: Path) -> None:
        self.name = name
        self._programs = programs
        self._home = home.resolve()
        self._lock = str(lock.resolve())

    def describe(self) -> dict[str, Any]:
        """For a log: the first of the processes, since when it runs, and how many there are."""
        return _describe(self._processes())

    def send(self, *signals: Signals) -> None:
        """Send these to each process, one after the other, and log it."""
        import psutil  # noqa: PLC0415 - hardly any process needs it

        found = self._processes()
        known = _describe(found)
        for process in found:
            with suppress(psutil.Error):
                for number in signals:
                    process.send_signal(number)
        log.warning("leftover.told", server=self.name, signal=signals[0].name, **known)

    def _processes(self) -> list[Process]:
        """The oldest first, which is the parent of all others while it lives."""
        import psutil  # noqa: PLC0415

        found: dict[int, Process] = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.name() in self._programs and self._is_at_home(process):
                    family = (process, *process.children(recursive=True))
                    found |= {one.pid: one for one in family}
        return sorted(found.values(), key=lambda process: (process.create_time(), process.pid))

    def _is_at_home(self, process: Process) -> bool:
        places = (Path(argument) for argument in process.cmdline() if argument.startswith("/"))
        if any(self._home in (place, *place.parents) for place in map(Path.resolve, places)):
            return True
        return any(file.path == self._lock for file in process.open_files())


def _describe(processes: Sequence[Process]) -> dict[str, Any]:
    return dict(_facts(processes))


def _facts(processes: Sequence[Process]) -> Iterator[tuple[str, Any]]:
    import psutil  # noqa: PLC0415

    yield "processes", len(processes)
    with suppress(psutil.Error):
        for first in processes[:1]:
            yield "pid", first.pid
            yield (
                "since",
                datetime.fromtimestamp(first.create_time(), UTC).isoformat("T", "seconds"),
            )
            yield "status", first.status()
