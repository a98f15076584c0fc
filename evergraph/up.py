"""`evergraph up`: a whole installation on one machine, under one process."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable, Mapping

import structlog

from domain.limits import process_limits
from evergraph import address, console, database, greeting, health
from evergraph.program import Program
from evergraph.supervisor import Supervisor
from runtime import clock, waiting
from runtime.embedded import folder, roles
from runtime.embedded.child import Child, StartError
from runtime.embedded.nats import NatsServer
from runtime.embedded.postgres import PostgresServer
from runtime.settings import Settings

log = structlog.get_logger()

REGISTER = "processes.json"


async def up(settings: Settings, environ: Mapping[str, str], *, with_demo: bool) -> None:
    """Start everything, say where it is, and stay until cancelled; then stop everything.

    `environ` is what the processes inherit. Raises StartError when something does not start.
    """
    with folder.hold(settings.data_dir):
        await _until_port_is_free(settings)
        installation = Installation(settings, environ)
        try:
            await installation.start()
            if with_demo:
                await _play_demo(installation.settings)
            at_terminal = console.is_terminal()
            console.say(greeting.greeting(installation.settings, at_terminal=at_terminal))
            await asyncio.Event().wait()
        finally:
            await installation.stop()


class Installation:
    """The servers that no setting names, and our own processes.

    `settings` have the URLs of both servers once they are started.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._environ = environ
        self._supervisor = Supervisor(settings.data_dir / REGISTER)
        self._nats: list[Child] = []
        self._postgres: list[Child] = []
        self._programs: list[Program] = []

    async def start(self) -> None:
        """Returns when the API answers. Raises StartError."""
        if self.settings.nats_url is None:
            await self._start_server(self._nats, NatsServer(self.settings.data_dir))
        needs_postgres = self.settings.database_url is None
        if needs_postgres:
            roles.make_keys(self.settings.data_dir)
        given = self.settings
        self.settings = address.complete(given)
        self._programs = list(self._our_programs())
        for program in self._programs:
            await self._supervisor.add(program)
        if needs_postgres:
            await self._start_server(self._postgres, PostgresServer(self.settings.data_dir))
        async with waiting.said("the database is migrated"):
            await database.migrate(given)
        for program in self._programs:
            program.go()
        await self._until_ready()

    async def stop(self) -> None:
        """End the processes first, and then the servers that they rely on."""
        for children in (self._programs, self._nats, self._postgres):
            await self._supervisor.stop(children)

    async def _start_server(self, place: list[Child], server: Child) -> None:
        place.append(server)
        await self._supervisor.add(server)

    def _our_programs(self) -> Iterable[Program]:
        environ = {
            **self._environ,
            "DATABASE_URL": self.settings.database_url or "",
            # None of them has to own the database.
            "EVERGRAPH_MIGRATION_URL": "",
            "NATS_URL": self.settings.nats_url or "",
            "EVERGRAPH_DATA_DIR": str(self.settings.data_dir),
        }
        executors = [f"executor-{number + 1}" for number in range(self.settings.executors)]
        for name in ("api", *executors, "projector", "relay", "sweeper"):
            role = name.partition("-")[0]
            yield Program(role, name, self.settings.data_dir, environ)

    async def _until_ready(self) -> None:
        host, port = address.near_host(self.settings), self.settings.port
        async with waiting.said("commands are taken", lambda: {"health": f"{host}:{port}/health"}):
            while not await health.is_ready(host, port):
                if obituary := self._supervisor.hopeless():
                    raise StartError(obituary)
                await asyncio.sleep(process_limits.START_POLL_SECONDS)


async def _until_port_is_free(settings: Settings) -> None:
    """Wait for an API that has not noticed yet that its supervisor was killed."""
    was_killed = (settings.data_dir / REGISTER).exists()
    deadline = clock.monotonic() + (2 * process_limits.STOP_SECONDS_MAX if was_killed else 0)
    place = f"{settings.host} port {settings.port}"
    async with waiting.said(f"{place} is free"):
        while error := address.refusal(settings):
            if error.errno != errno.EADDRINUSE or clock.monotonic() >= deadline:
                raise StartError(
                    f"cannot listen on {place}: {error.strerror}; choose another with --port"
                ) from error
            await asyncio.sleep(process_limits.START_POLL_SECONDS)


async def _play_demo(settings: Settings) -> None:
    from evergraph import demo  # noqa: PLC0415 - only this way of starting needs it

    try:
        await demo.play(settings)
    except Exception as error:
        log.error("demo.failed", exc_info=error)
        console.say("The demo did not succeed; everything else is running.")
