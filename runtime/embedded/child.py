"""A process that somebody starts, watches and stops."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ClassVar

from domain.limits import process_limits


class StartError(Exception):
    """Why something could not start, in words for the person at the terminal."""


class Child(ABC):
    """One process at a time, with what it writes in `log`. Start it again after it ended."""

    stop_signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGTERM,)
    """Each asks more firmly than the one before; SIGKILL follows the last."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    @abstractmethod
    async def start(self) -> None:
        """Start the process. Raises StartError."""

    @property
    def pid(self) -> int | None:
        """The running process's id."""
        return self._process.pid if self.alive and self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def wait(self) -> int:
        """Wait for the end. Returns the exit code, or the signal that killed it as a negative."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, ever more firmly. Returns when it has ended."""
        for number in (*self.stop_signals, signal.SIGKILL):
            if not self.alive or self._process is None:
                return
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), process_limits.STOP_SECONDS_MAX)

    def set_log_aside(self) -> None:
        """Begin the log anew if it is too large; the one before it is kept beside it.

        The process writes on to the same file, at its new end. What it writes in this very moment
        is lost. Raises OSError.
        """
        with suppress(FileNotFoundError):
            if self.log.stat().st_size > process_limits.LOG_BYTES_MAX:
                shutil.copyfile(self.log, _set_aside(self.log))
                os.truncate(self.log, 0)

    def obituary(self) -> str:
        """How it ended, with the last lines of its log."""
        code = self._process.returncode if self._process else None
        how = f"was killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
        lines = "".join(f"\n  {line}" for line in tail(self.log))
        return f"{self.name} {how}; the end of {self.log}:{lines}"

    async def _spawn(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        keep: Sequence[int] = (),
        before: Callable[[], None] | None = None,
        folder: str | None = None,
    ) -> None:
        """Start `command` in a session of its own, with the descriptors `keep` left open.

        `before` runs in the child just before the command.
        """
        try:
            with _open_log(self.log) as log:
                self._process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(environ),
                    pass_fds=tuple(keep),
                    preexec_fn=before,
                    cwd=folder,
                    start_new_session=True,
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise StartError(f"{self.name} cannot be started: {error}") from error


def tail(path: Path) -> list[str]:
    """The last lines of a log."""
    with suppress(OSError), path.open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - process_limits.LOG_TAIL_BYTES_MAX))
        return (
            log.read().decode(errors="replace").splitlines()[-process_limits.LOG_TAIL_LINES_MAX :]
        )
    return []


def _open_log(path: Path) -> BinaryIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if path.stat().st_size > process_limits.LOG_BYTES_MAX:
            path.replace(_set_aside(path))
    return path.open("ab")


def _set_aside(log: Path) -> Path:
    return log.with_suffix(".log.1")
