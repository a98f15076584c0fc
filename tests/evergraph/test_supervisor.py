"""What the supervisor does for its children while they live."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

import pytest

from domain.limits import process_limits
from evergraph.supervisor import Supervisor
from runtime import settings
from runtime.embedded.child import Child
from tests.support.processes import until

COUNTER = """
import itertools, time
for number in itertools.count():
    print(number, flush=True)
    time.sleep(0.001)
"""


class Counter(Child):
    """Writes whole numbers, for ever."""

    async def start(self) -> None:
        await self._spawn((sys.executable, "-c", COUNTER), environ=settings.environment())


class Delicate(Counter):
    """Its second start fails as one does on a machine that has run out of something."""

    starts = 0

    async def start(self) -> None:
        self.starts += 1
        if self.starts == 2:
            raise OSError(errno.EMFILE, "Too many open files")
        await super().start()


def numbers(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split("\n")[:-1]] if log.exists() else []


async def test_a_log_that_grows_too_large_is_set_aside_while_its_process_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_limits, "LOG_BYTES_MAX", 1_000)
    supervisor, child = Supervisor(tmp_path / "processes.json"), Counter("c", tmp_path / "c.log")
    aside = tmp_path / "c.log.1"
    await supervisor.add(child)
    try:
        born = child.pid
        await until(lambda: numbers(aside))
        last = numbers(aside)[-1]
        await until(lambda: (numbers(child.log) or [0])[-1] > last)
        assert child.pid == born
        await until(lambda: (numbers(aside) or [0])[0] > last)
    finally:
        await supervisor.stop([child])


async def test_a_child_is_kept_although_a_start_fails_for_want_of_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_limits, "RESTART_SECONDS_MIN", 0.01)
    supervisor, child = Supervisor(tmp_path / "processes.json"), Delicate("c", tmp_path / "c.log")
    await supervisor.add(child)
    try:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: child.starts == 3)
    finally:
        await supervisor.stop([child])
