"""The executor: takes run ids from the bell and drives the runs to their end."""

from __future__ import annotations

from runtime.settings import Settings
from workers.executor.process import Executor


async def serve(settings: Settings) -> None:
    """Run until cancelled."""
    await Executor(settings).serve()
