"""Who may do what in the embedded database, whatever they say to it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.errors import InsufficientPrivilege

from migrations.runner import migrate
from runtime.database import APP_ROLE, Row
from runtime.embedded import roles
from runtime.embedded.postgres import RULES, PostgresServer
from runtime.embedded.roles import MIGRATOR, SUPERUSER
from runtime.eventlog.log import EventLog, opened
from tests.support.log import append, check

NOTHING: LiteralString = "LANGUAGE sql AS 'SELECT 1'"

TRICKS: tuple[LiteralString, ...] = (
    "COPY log.stored_events TO PROGRAM 'id'",
    "COPY log.receipts FROM PROGRAM 'id'",
    "COPY log.stored_events TO '/tmp/events'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT FROM pg_authid",
    f"SET ROLE {MIGRATOR}",
    f"SET ROLE {SUPERUSER}",
    "SET ROLE pg_execute_server_program",
    f"SET SESSION AUTHORIZATION {SUPERUSER}",
    "SET session_replication_role = replica",
    f"ALTER ROLE {APP_ROLE} SUPERUSER",
    f"GRANT {MIGRATOR} TO {APP_ROLE}",
    f"GRANT pg_execute_server_program TO {APP_ROLE}",
    "CREATE ROLE other",
    "CREATE DATABASE other",
    "CREATE SCHEMA other",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION hstore",
    "CREATE TABLE public.other ()",
    f"CREATE FUNCTION log.other() RETURNS int {NOTHING}",
    f"CREATE FUNCTION read.other() RETURNS int {NOTHING}",
    f"CREATE FUNCTION work.other() RETURNS int {NOTHING}",
    "ALTER TABLE log.stored_events DISABLE TRIGGER ALL",
    "ALTER TABLE log.stored_events OWNER TO evergraph_app",
    "ALTER FUNCTION log.append RENAME TO other",
    "DROP TRIGGER stored_events_append_only ON log.stored_events",
    "DROP TABLE log.stored_events",
    "ALTER SYSTEM SET fsync = off",
    "UPDATE public.evergraph_migrations SET checksum = ''",
)

CHANGES: tuple[LiteralString, ...] = (
    "UPDATE log.stored_events SET actor = 'nobody'",
    "DELETE FROM log.stored_events",
    "TRUNCATE log.stored_events",
    "DELETE FROM log.values",
)


@pytest.mark.parametrize("first", ["SELECT 1", "SET ROLE NONE", "RESET ROLE", "DISCARD ALL"])
@pytest.mark.holds("S41")
async def test_the_application_gains_nothing_by_whatever_it_says(
    application: AsyncConnection[Row], event_log: EventLog, first: LiteralString
) -> None:
    await append(event_log, "a", 0)
    await application.execute(first)
    for trick in (*CHANGES, *TRICKS):
        with pytest.raises(InsufficientPrivilege):
            await application.execute(trick)


@pytest.mark.holds("S41")
async def test_the_application_belongs_to_nobody_else(superuser: AsyncConnection[Row]) -> None:
    found = await superuser.execute(
        "SELECT rolname FROM pg_roles WHERE pg_has_role(%s, oid, 'MEMBER')", (APP_ROLE,)
    )
    assert await found.fetchall() == [(APP_ROLE,)]


async def test_the_migrator_owns_what_there_is_and_is_no_superuser(
    superuser: AsyncConnection[Row],
) -> None:
    assert await owners(superuser) == {MIGRATOR}
    found = await superuser.execute(
        "SELECT rolsuper OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = %s",
        (MIGRATOR,),
    )
    assert await found.fetchall() == [(False,)]


async def owners(connection: AsyncConnection[Row]) -> set[str]:
    """Who owns anything of our schemas."""
    found = await connection.execute(
        "WITH ours AS (SELECT oid, nspowner FROM pg_namespace"
        " WHERE nspname IN ('log', 'work', 'read'))"
        " SELECT pg_get_userbyid(nspowner) FROM ours"
        " UNION SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace IN"
        " (SELECT oid FROM ours) OR relname = 'evergraph_migrations'"
        " UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace IN"
        " (SELECT oid FROM ours)"
    )
    return {owner for (owner,) in await found.fetchall()}


async def test_keys_are_for_whoever_starts_the_server_and_open_nothing_else(
    tmp_path: Path,
) -> None:
    async with PostgresServer(tmp_path) as server:
        keys = {role: (tmp_path / f"{role}.key").read_text() for role in roles.ATTRIBUTES}
        assert len(set(keys.values())) == len(keys)
        for role in keys:
            assert stat.S_IMODE((tmp_path / f"{role}.key").stat().st_mode) == 0o600
        for role in (SUPERUSER, MIGRATOR):
            for key in ("", keys[APP_ROLE]):
                with pytest.raises(psycopg.OperationalError, match="password"):
                    await AsyncConnection.connect(server.url, user=role, password=key)


async def test_an_installation_from_before_there_were_roles_is_taken_over(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        async with await AsyncConnection.connect(
            server.superuser_url, autocommit=True
        ) as superuser:
            await make_old(superuser)
        await migrate(server.superuser_url)
        async with opened(server.superuser_url, "old") as log:
            await append(log, "a", 0)
        async with await AsyncConnection.connect(server.superuser_url) as superuser:
            await superuser.execute("ALTER ROLE postgres PASSWORD NULL")
    for role in roles.ATTRIBUTES:
        (tmp_path / f"{role}.key").unlink()
    (tmp_path / "postgres" / RULES).write_text("local all all trust\n")
    async with PostgresServer(tmp_path) as server:
        assert await migrate(server.migration_url) == []
        async with opened(server.url, "new") as log:
            await append(log, "a", 1)
        async with await AsyncConnection.connect(server.superuser_url) as superuser:
            assert await owners(superuser) == {MIGRATOR}
            assert await check(superuser) == [("a", 1), ("a", 2)]
        with pytest.raises(psycopg.OperationalError, match="password"):
            await AsyncConnection.connect(server.superuser_url, password="")


async def make_old(superuser: AsyncConnection[Row]) -> None:
    """Only the superuser, as in earlier versions and in servers of others."""
    await superuser.execute("ALTER DATABASE evergraph OWNER TO postgres")
    await superuser.execute(f"DROP ROLE {APP_ROLE}")
    await superuser.execute(f"DROP ROLE {MIGRATOR}")


async def test_a_copy_with_other_keys_is_told_ours(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        await migrate(server.migration_url)
        old = server.url
    (tmp_path / f"{APP_ROLE}.key").unlink()
    async with PostgresServer(tmp_path) as server:
        async with opened(server.url, "new") as log:
            await append(log, "a", 0)
        with pytest.raises(psycopg.OperationalError, match="password"):
            await AsyncConnection.connect(old)


async def test_one_user_of_an_outside_server_may_migrate_and_serve(tmp_path: Path) -> None:
    """No superuser, but one who may create roles."""
    async with PostgresServer(tmp_path) as server:
        async with await AsyncConnection.connect(
            server.superuser_url, autocommit=True
        ) as superuser:
            await make_old(superuser)
            await superuser.execute("CREATE ROLE operator LOGIN CREATEROLE PASSWORD 'secret'")
            await superuser.execute("ALTER DATABASE evergraph OWNER TO operator")
        url = server.url.replace(server.url.partition("@")[0], "postgresql://operator:secret")
        await migrate(url)
        async with opened(url, "one") as log:
            await append(log, "a", 0)
