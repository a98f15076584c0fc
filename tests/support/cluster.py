"""A whole installation under test: real processes, and the means to harm them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Container, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from psycopg import AsyncConnection

from evergraph.up import REGISTER
from runtime import settings
from runtime.database import Row
from runtime.embedded import roles
from runtime.settings import Settings
from tests.support.command import EVERGRAPH
from tests.support.plugin import ROOT
from tests.support.processes import is_alive, until
from tests.support.served import is_served

DISORDER = (sys.executable, "-m", "tests.support.disorder")
HOST = "127.0.0.1"
LOOPBACK = "127.0.0.0/8"
SINGLE = {"up", "postgres", "nats", "api", "projector", "relay", "sweeper"}
SECONDS_MAX = 30.0

Entry = dict[str, Any]
"""A line of a log."""


class Process:
    """One `evergraph <role>` that a test started itself."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end. Returns the exit code, or the signal that killed it as a negative."""
        async with asyncio.timeout(SECONDS_MAX):
            return await self._process.wait()

    async def logs(self, text: str) -> None:
        """Wait until its log holds `text`."""
        await until(lambda: text in self.log.read_text(encoding="utf-8"), seconds=SECONDS_MAX)

    def logged(self) -> Iterator[Entry]:
        """What its log holds."""
        return _entries(self.log)

    async def stop(self) -> None:
        """Ask it to end, also when it is stopped, and wait."""
        for number in (signal.SIGCONT, signal.SIGTERM):
            with suppress(ProcessLookupError):
                self.send(number)
        await self.ended()


class Cluster:
    """A running `evergraph up --no-demo`. Its children go by the names of its register."""

    def __init__(
        self,
        data_dir: Path,
        environ: dict[str, str],
        port: int | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        """`before` is run in `up` before anything else."""
        self._before = before
        self.settings = Settings(data_dir=data_dir, port=port or _free_port())
        self.environ = settings.environment(
            DATABASE_URL="",
            NATS_URL="",
            EVERGRAPH_DATA_DIR=str(data_dir),
            EVERGRAPH_PORT=str(self.settings.port),
            EVERGRAPH_EGRESS_ALLOW=LOOPBACK,
            **environ,
        )
        self.url = f"http://{HOST}:{self.settings.port}"
        executors = int(environ.get("EVERGRAPH_EXECUTORS", "1"))
        self.names = SINGLE | {f"executor-{number + 1}" for number in range(executors)}
        self._supervisor: Process | None = None

    @property
    def superuser_url(self) -> str:
        """The database for who may do everything."""
        return roles.url(self.settings.data_dir, roles.SUPERUSER)

    def pids(self) -> dict[str, int]:
        """Who runs at this moment, by name; the supervisor is called `up`."""
        register = self.settings.data_dir / REGISTER
        return msgspec.json.decode(register.read_bytes(), type=dict[str, int])

    async def send(self, name: str, number: signal.Signals) -> int:
        """Send a signal to a process, as soon as it runs, and return its pid."""
        await until(lambda: name in self.pids(), seconds=SECONDS_MAX)
        pid = self.pids()[name]
        os.kill(pid, number)
        return pid

    async def kill(self, name: str) -> int:
        """`kill -9`: the supervisor has to notice. Returns the pid of the dead."""
        return await self.send(name, signal.SIGKILL)

    async def replaced(self, name: str, dead: int) -> None:
        """Wait until another process runs under this name."""
        await until(lambda: self.pids().get(name, dead) != dead, seconds=SECONDS_MAX)

    @asynccontextmanager
    async def without(self, name: str) -> AsyncIterator[None]:
        """Kill a process; its supervisor is kept from noticing for the length of the block."""
        supervisor = await self.send("up", signal.SIGSTOP)
        try:
            dead = await self.kill(name)
            await until(lambda: not is_alive(dead), seconds=SECONDS_MAX)
            yield
        finally:
            os.kill(supervisor, signal.SIGCONT)
        await self.replaced(name, dead)

    @asynccontextmanager
    async def hung(self, name: str) -> AsyncIterator[None]:
        """A process hangs for the length of the block."""
        pid = await self.send(name, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def kill_everything(self) -> None:
        """`kill -9` of all at once, the supervisor included; nobody is left when this returns."""
        assert self._supervisor is not None
        self._supervisor.send(signal.SIGSTOP)
        pids = self.pids()
        # Their supervisor is the last: at its death they would be told to end in order.
        supervisor = pids.pop("up")
        for pid in (*pids.values(), supervisor):
            os.kill(pid, signal.SIGKILL)
        await self._supervisor.ended()
        await until(lambda: not any(map(is_alive, pids.values())), seconds=SECONDS_MAX)
        (self.settings.data_dir / REGISTER).unlink()

    async def start_again(self, order: Sequence[str]) -> None:
        """Start everything that was killed, in this order; returns when the API is served."""
        path = os.pathsep.join(filter(None, (self.environ.get("PYTHONPATH"), str(ROOT))))
        command = (*DISORDER, *order)
        self._supervisor = await self._spawn(command, "up", PYTHONPATH=path)
        register = self.settings.data_dir / REGISTER
        await until(register.exists, seconds=SECONDS_MAX)
        await self.recovered()

    async def recovered(self) -> None:
        """Wait until all processes run and the API says that both servers answer."""
        await until(lambda: self.pids().keys() == self.names, seconds=SECONDS_MAX)
        await self._served()

    def log_of(self, name: str) -> str:
        """What a process has logged, and those before it under its name."""
        path = self.settings.data_dir / "logs" / f"{name}.log"
        return path.read_text(encoding="utf-8")

    def deaths(self, name: str) -> int:
        """How often the supervisor has seen this process end."""
        ends = (entry for entry in self.logged() if entry["event"] == "child.ended")
        return sum(entry["child"] == name for entry in ends)

    def ready_at(self, executor: str) -> datetime:
        """When the executor of this name was ready for runs, after its last start."""
        entries = [e for e in self.logged() if e["event"] == "executor.ready"]
        moments = [e["timestamp"] for e in entries if e["process"] == executor]
        return datetime.fromisoformat(max(moments))

    def complaints(self, but: Container[str] = ()) -> list[Entry]:
        """I11: errors in the logs, other than that a server was away when a process started.

        `but` are events of which a test is the cause.
        """
        errors = (entry for entry in self.logged() if entry["level"] == "error")
        return [
            entry
            for entry in errors
            if entry["event"] not in but
            and entry["event"] != "process.failed"
            and entry.get("logger") != "uvicorn.error"
        ]

    def logged(self) -> Iterator[Entry]:
        """What the logs of the supervisor, its children and those beside them hold."""
        folder = self.settings.data_dir
        for log in (*folder.glob("*.log"), *folder.glob("logs/*.log")):
            yield from _entries(log)

    async def _served(self) -> None:
        async with (
            asyncio.timeout(SECONDS_MAX),
            httpx2.AsyncClient(base_url=self.url, trust_env=False) as http,
        ):
            while not await is_served(http):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)

    async def _served_by(self, up: Process) -> None:
        # An API of an earlier start may not have noticed yet that its supervisor is dead.
        await until(lambda: self._has_started_api(up), seconds=SECONDS_MAX)
        await self._served()

    def _has_started_api(self, up: Process) -> bool:
        if not (self.settings.data_dir / REGISTER).exists():
            return False
        pids = self.pids()
        return pids.get("up") == up.pid and "api" in pids

    async def connect(self) -> AsyncConnection[Row]:
        """A connection to the database, as its superuser."""
        return await AsyncConnection.connect(self.superuser_url, autocommit=True)

    @asynccontextmanager
    async def beside(self, role: str, name: str, **environ: str) -> AsyncIterator[Process]:
        """`evergraph <role>` in this installation and unknown to its supervisor.

        `environ` is for this process alone; a failpoint that the others have is not its own.
        """
        alone = {"EVERGRAPH_FAILPOINT": "", "EVERGRAPH_WORKER_NAME": name}
        process = await self._spawn((*EVERGRAPH, role), name, **(alone | environ))
        try:
            yield process
        finally:
            if not process.has_ended:
                await process.stop()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything runs and answers in this block, and nothing any more after it."""
        up = await self._spawn((*EVERGRAPH, "up", "--no-demo"), "up")
        self._supervisor = up
        served = asyncio.create_task(self._served_by(up))
        try:
            await until(lambda: served.done() or up.has_ended, seconds=SECONDS_MAX)
            assert not up.has_ended, up.log.read_text(encoding="utf-8")
            await served
            yield
        finally:
            served.cancel()
            await self._supervisor.stop()

    async def _spawn(self, command: Sequence[str], name: str, **environ: str) -> Process:
        log = self.settings.data_dir / f"{name}.log"
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self.environ, **environ},
                preexec_fn=self._before,
            )
        return Process(process, log)


def _entries(log: Path) -> Iterator[Entry]:
    for line in log.read_bytes().splitlines():
        if line.startswith(b"{"):
            yield msgspec.json.decode(line, type=Entry)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
