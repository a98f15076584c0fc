"""Watching operating system processes from a test."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable

from runtime import clock


def is_alive(pid: int) -> bool:
    """Whether the process runs. One that has ended and waits to be buried does not."""
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state = shown.stdout.strip()
    return bool(state) and not state.startswith("Z")


async def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Return as soon as `condition()` holds. Raises AssertionError when it takes too long."""
    deadline = clock.monotonic() + seconds
    while not condition():
        assert clock.monotonic() < deadline, f"not within {seconds} s: {condition}"
        await asyncio.sleep(0.01)
