"""The processes of the simulated installation: on hosts with clocks of their own, each begun again
whenever it ends.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import datetime, timedelta

import msgspec

from runtime import database
from runtime.clock import Clock
from runtime.settings import Settings
from tests.simulation.database import BEGINNING
from tests.simulation.loop import OWNER, Process, VirtualLoop

Main = Callable[[Settings], Awaitable[None]]

BOOT_SECONDS_MAX = 2.0
KNOWN_SHARE = 0.7
"""How often whoever begins a process again has seen the end of the one before."""


class Host:
    """A machine, whose clocks go by nobody else's."""

    def __init__(self, loop: VirtualLoop, chance: random.Random) -> None:
        self._loop = loop
        self._rate = 1 + chance.uniform(-1e-4, 1e-4)
        self._boot = chance.uniform(0, 1e6)
        self.offset = 0.0

    def clock(self) -> Clock:
        """That of a new process."""
        return Clock(self._wall, self._monotonic)

    def _monotonic(self) -> float:
        return self._boot + self._loop.time() * self._rate

    def _wall(self) -> datetime:
        return BEGINNING + timedelta(seconds=self._loop.time() * self._rate + self.offset)


class Seat:
    """A place for a process, by name."""

    def __init__(
        self, loop: VirtualLoop, chance: random.Random, host: Host, name: str, main: Main
    ) -> None:
        self.name = name
        self.process: Process | None = None
        self.context = Context()
        self.kills = 0
        self.crashes: list[str] = []
        """What ended it, but for people, faults and a database that is away."""
        self._loop = loop
        self._chance = chance
        self._host = host
        self._main = main
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and not self.process.is_dead

    async def keep(self, settings: Settings) -> None:
        """Have a process here, one after the other."""
        predecessor = None
        number = 0
        while True:
            number += 1
            incarnation = f"{number}"
            self._begin(_named(settings, self.name, incarnation, predecessor))
            await self._ended.wait()
            knows = self._chance.random() < KNOWN_SHARE
            predecessor = incarnation if knows else None
            await asyncio.sleep(self._chance.uniform(0, BOOT_SECONDS_MAX))

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self.process is not None and not self.process.is_dead:
            self.kills += 1
            self.process.kill()
            self._ended.set()

    def ask_to_leave(self) -> None:
        """End it as SIGTERM does, as soon as it can."""
        if self._task is not None and self.is_alive:
            self._task.cancel()

    def _begin(self, settings: Settings) -> None:
        self._ended = asyncio.Event()
        process = self.process = Process(self.name, self._host.clock())
        context = self.context = Context()
        context.run(OWNER.set, process)

        async def live() -> None:
            await self._main(settings)

        task = self._task = self._loop.create_task(live(), name=self.name, context=context)
        task.add_done_callback(lambda task: self._over(process, task), context=Context())

    def _over(self, process: Process, task: asyncio.Task[None]) -> None:
        if process.is_dead:
            return
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, database.LOST):
            self.crashes.append(f"{self.name}: {error!r}")
        process.kill()
        self._ended.set()


def _named(settings: Settings, name: str, incarnation: str, predecessor: str | None) -> Settings:
    return msgspec.structs.replace(
        settings, worker_name=name, incarnation=incarnation, predecessor=predecessor
    )
