"""The executor: takes run ids from the bell and drives the runs to their end."""

from __future__ import annotations

from domain import limits
from runtime import heap
from runtime.settings import Settings
from workers.executor.process import Executor


async def serve(settings: Settings) -> None:
    """Run until cancelled, in bounded memory: a block that wants more of it fails its node."""
    heap.bound(limits.EXECUTOR_MEMORY_BYTES_MAX)
    await Executor(settings).serve()
