"""Watching operating system processes from a test."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from runtime import clock


def is_alive(pid: int) -> bool:
    """Whether the process runs. One that has ended and waits to be buried does not."""
    state = _state(pid)
    return bool(state) and not state.startswith("Z")


def is_stopped(pid: int) -> bool:
    """Whether the process hangs until it gets a SIGCONT."""
    return _state(pid).startswith("T")


def _state(pid: int) -> str:
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip()


def limits_of(pid: int, name: str) -> tuple[str, str]:
    """The soft and the hard limit of a process that Linux calls so, such as `Max open files`."""
    lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
    line = next(line for line in lines if line.startswith(name))
    soft, hard = line.removeprefix(name).split()[:2]
    return soft, hard


def limit(pid: int, option: str, soft: str | int, hard: str | int = "") -> None:
    """Change a limit of a process, by the name that `prlimit` has for it, such as `nofile`.

    It is done as the user that the process runs as: root may lack the right to do it to another's.
    """
    process = psutil.Process(pid)
    changed: dict[str, Any] = {}
    if process.uids().real != os.getuid():
        changed = {
            "user": process.uids().real,
            "group": process.gids().real,
            "extra_groups": [],
        }
    command = ["prlimit", f"--pid={pid}", f"--{option}={soft}:{hard}"]
    subprocess.run(command, check=True, **changed)


async def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Return as soon as `condition()` holds. Raises AssertionError when it takes too long."""
    deadline = clock.monotonic() + seconds
    while not condition():
        assert clock.monotonic() < deadline, f"not within {seconds} s: {condition}"
        await asyncio.sleep(0.01)


def resident_bytes(pid: int) -> int:
    """What the process has in memory at this moment, 0 when it has ended."""
    shown = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return int(shown.stdout.strip() or 0) * 1024
