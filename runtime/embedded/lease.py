"""The right to run a server in a folder. It lasts as long as any process of the server.

The server inherits a descriptor and with it a lock, so no pid has to be believed: while one of its
processes lives, however its supervisor died, nobody else gets the lease.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import Signals

from domain.limits import process_limits
from runtime import clock, waiting
from runtime.embedded import folder
from runtime.embedded.leftover import Leftover


@asynccontextmanager
async def take(path: Path, leftover: Leftover, farewell: Signals) -> AsyncIterator[int]:
    """Take the lease at `path`, and yield the descriptor that the server has to inherit.

    Only the holder of the data folder may ask: a server of an earlier start that does not leave in
    time is told to by `farewell`, also if it is stopped, and killed in the end.
    """
    descriptor = folder.open_lock(path)
    try:
        if not folder.lock(descriptor):
            until = f"{leftover.name} of an earlier start ends"
            async with waiting.said(until, leftover.describe):
                await _evict(descriptor, leftover, farewell)
        yield descriptor
    finally:
        os.close(descriptor)


async def _evict(descriptor: int, leftover: Leftover, farewell: Signals) -> None:
    """Linux ends a server with its supervisor, unless it is stopped or hangs."""
    if await _is_left(descriptor, process_limits.LINGER_SECONDS_MAX):
        return
    signals = [farewell, Signals.SIGCONT]
    while True:
        await asyncio.to_thread(leftover.send, *signals)
        if await _is_left(descriptor, process_limits.STOP_SECONDS_MAX):
            return
        signals = [Signals.SIGKILL]


async def _is_left(descriptor: int, seconds: float) -> bool:
    """Whether we got the lock within so many seconds."""
    deadline = clock.monotonic() + seconds
    while not folder.lock(descriptor):
        if clock.monotonic() > deadline:
            return False
        await asyncio.sleep(process_limits.START_POLL_SECONDS)
    return True
