"""Watching operating system processes from a test."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable

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
