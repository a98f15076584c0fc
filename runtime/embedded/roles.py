"""Who may log in to the embedded database, and with which key.

Each role has a file `<role>.key` in the data folder, which only whoever starts the server can read.
Passwords, and not the names of operating system users, as these prove nothing where everything
runs as one user, and change when a data folder moves. A session of the application cannot become
another by anything it says: it has to log in anew, with a key that it was not given.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from psycopg import AsyncConnection, sql

from runtime import ids
from runtime.database import APP_ROLE, Row
from runtime.embedded import folder
from runtime.embedded.child import StartError
from runtime.sql import load

DATABASE = "evergraph"
SUPERUSER = "postgres"
MIGRATOR = "evergraph_migrator"
PORT = 5432
"""Part of the socket's name; nothing listens on TCP."""

ATTRIBUTES = {
    SUPERUSER: sql.SQL("SUPERUSER"),
    # The first migration makes roles.
    MIGRATOR: sql.SQL("NOSUPERUSER CREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS"),
    APP_ROLE: sql.SQL("NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS"),
}

KEYS_RULES = b"""\
# Written anew at each start.
local all all scram-sha-256
local replication all scram-sha-256
"""
FIRST_RULES = f"local all {SUPERUSER} trust\n".encode()
"""As long as nobody knows a password: of the superuser, who gives them, and of nobody else."""

_EXISTS = load(__file__, "select_role")
_TAKE_OVER = load(__file__, "take_over")


def url(data_dir: Path, role: str, database: str = DATABASE) -> str:
    """The database as the role sees it. Raises StartError when its key cannot be read."""
    try:
        key = _key_path(data_dir, role).read_text(encoding="ascii")
    except OSError as error:
        raise StartError(
            f"DATABASE_URL is not set, and no database of ours in {data_dir} is open to us:"
            f" {error.strerror}"
        ) from error
    sockets = quote(os.fspath(folder.socket_folder(data_dir)), safe="")
    return f"postgresql://{role}:{key}@/{database}?host={sockets}&port={PORT}"


def make_keys(data_dir: Path) -> None:
    """Make the keys, all of them anew unless all are there.

    So a server that knows the superuser's knows the others too.
    """
    paths = [_key_path(data_dir, role) for role in ATTRIBUTES]
    if not all(path.exists() for path in paths):
        for path in paths:
            folder.write_secret(path, ids.new_secret().encode(), os.geteuid(), os.getegid())


async def give_keys(superuser: AsyncConnection[Row], data_dir: Path) -> None:
    """Make the roles what they should be, whatever they were."""
    async with superuser.transaction():
        for role, attributes in ATTRIBUTES.items():
            found = await superuser.execute(_EXISTS, (role,))
            statement = "ALTER ROLE {} LOGIN {} PASSWORD {}"
            if found.rowcount == 0:
                statement = "CREATE ROLE {} LOGIN {} PASSWORD {}"
            verifier = superuser.pgconn.encrypt_password(
                _key_path(data_dir, role).read_bytes(), role.encode(), b"scram-sha-256"
            )
            await superuser.execute(
                sql.SQL(statement).format(
                    sql.Identifier(role), attributes, sql.Literal(verifier.decode())
                )
            )
        await superuser.execute(
            sql.SQL("GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE").format(
                sql.Identifier(APP_ROLE), sql.Identifier(MIGRATOR)
            )
        )


async def take_over(superuser: AsyncConnection[Row]) -> None:
    """Make the migrator the owner of what the superuser owned before there was a migrator."""
    async with superuser.transaction():
        found = await superuser.execute(_TAKE_OVER)
        for (statement,) in await found.fetchall():
            await superuser.execute(statement)


def _key_path(data_dir: Path, role: str) -> Path:
    return data_dir / f"{role}.key"
