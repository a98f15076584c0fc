"""A server from a wheel, run as a child in the data folder."""

from __future__ import annotations

import asyncio
import os
import signal
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from domain.limits import process_limits
from runtime import waiting
from runtime.embedded import folder, lease, privileges
from runtime.embedded.child import Child, StartError, tail
from runtime.embedded.leftover import Leftover

ENVIRON = {"PATH": os.defpath, "LC_ALL": "C"}
"""Servers see nothing of ours, least of all secrets."""


class Tenancy(NamedTuple):
    """As whom a server lives in its home, and by which right."""

    account: privileges.Account
    lease: int
    """The descriptor that it inherits."""
    guests: int | None
    """The group of our own processes, which come by; None when they are the same user."""


class Server(Child):
    """Lives in `<data_dir>/<name>`, which belongs to the account that it runs as."""

    death_signal: ClassVar[signal.Signals]
    """How it learns that its supervisor died, or that the next one wants its place."""
    programs: ClassVar[frozenset[str]]
    """The names of the programs that work in its home."""

    def __init__(self, name: str, data_dir: Path, program: Path) -> None:
        super().__init__(name, data_dir / "logs" / f"{name}.log")
        self._data_dir = data_dir
        self._home = data_dir / name
        self._program = program

    async def start(self) -> None:
        """Start it and wait, however long it recovers, until it answers.

        Raises StartError when it ends instead.
        """
        try:
            await self._move_in()
        except OSError as error:
            raise StartError(f"{self.name} cannot be started: {error}") from error
        async with waiting.said(f"{self.name} answers", self._describe):
            while not await self._answers():
                if not self.alive:
                    raise StartError(self.obituary())
                await asyncio.sleep(process_limits.START_POLL_SECONDS)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @abstractmethod
    async def _prepare(self, tenancy: Tenancy) -> None:
        """Make the home ready for the command."""

    @abstractmethod
    def _command(self) -> Sequence[str]: ...

    @abstractmethod
    async def _answers(self) -> bool: ...

    async def _move_in(self) -> None:
        folder.make(self._data_dir)
        account = privileges.account(self._home)
        lock = self._data_dir / f"{self.name}.lock"
        leftover = Leftover(self.name, self.programs, self._home, lock)
        async with lease.take(lock, leftover, self.death_signal) as descriptor:
            own = privileges.own_account()
            guests = None if own.uid == account.uid else own.gid
            tenancy = Tenancy(account, descriptor, guests)
            await self._prepare(tenancy)
            await self._run(self._command(), tenancy)

    async def _run(self, command: Sequence[str], tenancy: Tenancy) -> None:
        account = tenancy.account
        past = privileges.barrier(account, (self._home, self._program))
        await self._spawn(
            command,
            environ=ENVIRON,
            keep=(tenancy.lease,),
            before=privileges.become(account, past, self.death_signal),
            folder="/",
        )

    def _describe(self) -> dict[str, Any]:
        """For a log: who starts, and how far it got."""
        return {"pid": self.pid, "log": str(self.log), "last_line": "".join(tail(self.log)[-1:])}
