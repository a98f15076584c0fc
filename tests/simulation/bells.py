"""The simulated LISTEN: processes hear, after a while, that the log has grown."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from domain import limits
from tests.simulation.database import Server
from tests.simulation.log import Epoch
from tests.simulation.loop import OWNER


class SimulatedLogBell:
    """What `runtime.eventlog.bell.LogBell` is to a process."""

    def __init__(self, server: Server) -> None:
        self.epoch = Epoch()
        self._server = server
        self._rung = asyncio.Event()
        self._told = 0
        OWNER.get().ended.append(self._leave)

    def open(self) -> None:
        self._server.grown.append(self._hear)

    async def close(self) -> None:
        self._leave()

    async def wait(self, after: int | None = None, seconds: float | None = None) -> None:
        if self._told <= (after or 0):
            most = limits.POLL_SECONDS if seconds is None else min(seconds, limits.POLL_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(most):
                    await self._rung.wait()
        self._rung.clear()

    def ring(self) -> None:
        self._rung.set()

    def _hear(self, head: int) -> None:
        self._told = max(self._told, head)
        self._rung.set()

    def _leave(self) -> None:
        with suppress(ValueError):
            self._server.grown.remove(self._hear)
