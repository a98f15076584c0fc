"""Connections to PostgreSQL, always in the role that the process needs and no higher."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain import limits

Row = tuple[Any, ...]
Check = Callable[[AsyncConnection[Row]], Awaitable[None]]

APP_ROLE = "evergraph_app"
"""May read everything and append to the log; may change no event."""


def conninfo(database_url: str, application: str) -> str:
    """The connection string of the application's role, with its time limits.

    A server that still recovers is as good as none: where its log ends, and which log it is, is
    only known when it has become the primary.
    """
    options = (
        f"-c role={APP_ROLE}"
        f" -c statement_timeout={limits.DATABASE_STATEMENT_SECONDS_MAX}s"
        f" -c lock_timeout={limits.DATABASE_LOCK_SECONDS_MAX}s"
        f" -c idle_in_transaction_session_timeout={limits.DATABASE_STATEMENT_SECONDS_MAX}s"
        " -c plan_cache_mode=force_generic_plan"
    )
    return make_conninfo(
        database_url,
        application_name=f"evergraph {application}",
        options=options,
        target_session_attrs="primary",
        connect_timeout=limits.DATABASE_SILENCE_SECONDS_MAX,
        keepalives_idle=limits.DATABASE_SILENCE_SECONDS_MAX,
        keepalives_interval=1,
        tcp_user_timeout=limits.DATABASE_SILENCE_SECONDS_MAX * 1_000,
    )


LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # The session of a process that hung in the middle of a transaction.
    psycopg.errors.IdleInTransactionSessionTimeout,
    PoolTimeout,
    TimeoutError,
)
"""What a call can raise while the server is away; the same call may work later."""


async def connect(database_url: str, application: str) -> AsyncConnection[Row]:
    """A dedicated connection in autocommit mode. Raises psycopg.OperationalError."""
    connection = await AsyncConnection.connect(
        conninfo(database_url, application), autocommit=True, prepare_threshold=0
    )
    connection.prepared_max = None
    return connection


def pool(
    database_url: str, application: str, check: Check
) -> AsyncConnectionPool[AsyncConnection[Row]]:
    """A closed pool of autocommit connections; the owner opens and closes it.

    Each is given to `check` before its first use.
    """
    return AsyncConnectionPool(
        conninfo(database_url, application),
        min_size=1,
        max_size=limits.DATABASE_POOL_CONNECTIONS_MAX,
        kwargs={"autocommit": True, "prepare_threshold": 0},
        open=False,
        configure=check,
        timeout=limits.DATABASE_LOCK_SECONDS_MAX,
        check=None,
        reconnect_timeout=limits.DATABASE_STATEMENT_SECONDS_MAX,
    )
