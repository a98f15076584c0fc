"""The simulated LISTEN: processes hear, after a while, that the log has grown."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from domain.limits import worker_limits
from tests.simulation.database import Server
from tests.simulation.log import Epoch
from tests.simulation.loop import OWNER


class SimulatedLogListener:
    """What `runtime.eventlog.log_listener.LogListener` is to a process."""

    def __init__(self, server: Server) -> None:
        self.epoch = Epoch()
        self._server = server
        self._woken = asyncio.Event()
        self._notified = 0
        OWNER.get().ended.append(self._leave)

    def open(self) -> None:
        self._server.grown.append(self._hear)

    async def close(self) -> None:
        self._leave()

    async def wait(self, after: int | None = None, seconds: float | None = None) -> None:
        if self._notified <= (after or 0):
            most = (
                worker_limits.POLL_SECONDS
                if seconds is None
                else min(seconds, worker_limits.POLL_SECONDS)
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(most):
                    await self._woken.wait()
        self._woken.clear()

    def wake(self) -> None:
        self._woken.set()

    def _hear(self, head: int) -> None:
        self._notified = max(self._notified, head)
        self._woken.set()

    def _leave(self) -> None:
        with suppress(ValueError):
            self._server.grown.remove(self._hear)
