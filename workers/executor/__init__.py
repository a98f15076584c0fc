"""The executor: takes run ids from the bell and drives the runs to their end."""

from __future__ import annotations

import resource

from domain import limits
from runtime.settings import Settings
from workers.executor.process import Executor


async def serve(settings: Settings) -> None:
    """Run until cancelled, in bounded memory: a block that wants more of it fails its node."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or most > limits.EXECUTOR_MEMORY_BYTES_MAX:
        resource.setrlimit(resource.RLIMIT_AS, (limits.EXECUTOR_MEMORY_BYTES_MAX, most))
    await Executor(settings).serve()
