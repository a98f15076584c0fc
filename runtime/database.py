"""Connections to PostgreSQL, always in the role that the process needs and no higher."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.limits import database_limits

Row = tuple[Any, ...]
Check = Callable[[AsyncConnection[Row]], Awaitable[None]]

APP_ROLE = "evergraph_app"
"""May read everything and append to the log; may change no event."""


def conninfo(
    database_url: str,
    application: str,
    statement_seconds: float = database_limits.DATABASE_STATEMENT_SECONDS_MAX,
) -> str:
    """The connection string of the application's role, with its time limits.

    A server that still recovers is as good as none: where its log ends, and which log it is, is
    only known when it has become the primary.
    """
    options = (
        f"-c role={APP_ROLE}"
        f" -c statement_timeout={statement_seconds}s"
        f" -c lock_timeout={database_limits.DATABASE_LOCK_SECONDS_MAX}s"
        f" -c idle_in_transaction_session_timeout={database_limits.DATABASE_STATEMENT_SECONDS_MAX}s"
        " -c plan_cache_mode=force_generic_plan"
    )
    return make_conninfo(
        database_url,
        application_name=f"evergraph {application}",
        options=options,
        target_session_attrs="primary",
        connect_timeout=database_limits.DATABASE_SILENCE_SECONDS_MAX,
        keepalives_idle=database_limits.DATABASE_SILENCE_SECONDS_MAX,
        keepalives_interval=1,
        tcp_user_timeout=database_limits.DATABASE_SILENCE_SECONDS_MAX * 1_000,
    )


LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # The session of a process that hung in the middle of a transaction.
    psycopg.errors.IdleInTransactionSessionTimeout,
    # It is to be taken over from, or an operator has closed it for changes.
    psycopg.errors.ReadOnlySqlTransaction,
    PoolTimeout,
    TimeoutError,
)
"""What a call can raise while the server is away or closed; the same call may work later."""


@contextmanager
def patience(
    connection: AsyncConnection[Row], seconds: float, give_up: Callable[[], None] | None = None
) -> Iterator[None]:
    """The line is hung up if the block takes longer: what waits for the server fails then.

    To cancel it would not do, which asks that same server for leave. `give_up` is called too, for
    a wait that is not psycopg's, which looks at the line now and then whatever the loop says.
    """

    def hang_up() -> None:
        shut(connection)
        if give_up is not None:
            give_up()

    timer = asyncio.get_running_loop().call_later(seconds, hang_up)
    try:
        yield
    finally:
        timer.cancel()


def shut(connection: AsyncConnection[Row] | Connection[Row]) -> None:
    """Hang up, from any thread."""
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)


class PatientConnection(AsyncConnection[Row]):
    """Waits for no answer for longer than the server itself would work on it, and a little."""

    seconds_max: float | None = float(
        database_limits.DATABASE_STATEMENT_SECONDS_MAX + database_limits.DATABASE_GRACE_SECONDS
    )
    """None: it waits for what comes when it comes."""

    async def wait(self, *args: Any, **kwargs: Any) -> Any:
        if self.seconds_max is None:
            return await super().wait(*args, **kwargs)
        with patience(self, self.seconds_max):
            return await super().wait(*args, **kwargs)


async def connect(database_url: str, application: str) -> PatientConnection:
    """A dedicated connection in autocommit mode. Raises psycopg.OperationalError."""
    connection = await PatientConnection.connect(
        conninfo(database_url, application), autocommit=True, prepare_threshold=0
    )
    connection.prepared_max = None
    return connection


def pool(
    database_url: str, application: str, check: Check, statement_seconds: float
) -> AsyncConnectionPool[AsyncConnection[Row]]:
    """A closed pool of autocommit connections; the owner opens and closes it.

    Each is given to `check` before its first use. A statement on them takes `statement_seconds`
    and little more.
    """

    async def configure(connection: AsyncConnection[Row]) -> None:
        assert isinstance(connection, PatientConnection)
        connection.seconds_max = statement_seconds + database_limits.DATABASE_GRACE_SECONDS
        await check(connection)

    return AsyncConnectionPool(
        conninfo(database_url, application, statement_seconds),
        connection_class=PatientConnection,
        min_size=1,
        max_size=database_limits.DATABASE_POOL_CONNECTIONS_MAX,
        kwargs={"autocommit": True, "prepare_threshold": 0},
        open=False,
        configure=configure,
        timeout=database_limits.DATABASE_LOCK_SECONDS_MAX,
        check=None,
        reconnect_timeout=database_limits.DATABASE_STATEMENT_SECONDS_MAX,
    )
