"""The executor: takes wake-ups and drives the runs to their end."""

from __future__ import annotations

from domain.limits import worker_limits
from runtime import memory
from runtime.settings import Settings
from workers.executor.executor import Executor


async def serve(settings: Settings) -> None:
    """Run until cancelled, in bounded memory: a block that wants more of it fails its node."""
    memory.bound(worker_limits.EXECUTOR_MEMORY_BYTES_MAX)
    await Executor(settings).serve()
