"""The database reaches the shape that this code needs, once, and only forwards."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from psycopg import AsyncConnection
from psycopg.errors import SyntaxError as SqlSyntaxError

from migrations import runner
from migrations.runner import MigrationError, migrate
from runtime import ids
from runtime.database import Row
from runtime.embedded.postgres import PostgresServer
from runtime.embedded.roles import MIGRATOR
from tests.support.databases import in_database

FILES = sorted(path.name for path in runner.FOLDER.glob("*.sql"))


@asynccontextmanager
async def empty_database(postgres: PostgresServer) -> AsyncIterator[str]:
    """The URL of a database without anything."""
    name = f"empty_{ids.new_id().hex}"
    async with await AsyncConnection.connect(postgres.superuser_url, autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {name} OWNER {MIGRATOR}")
        yield in_database(postgres.migration_url, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def empty_url(postgres: PostgresServer) -> AsyncIterator[str]:
    async with empty_database(postgres) as url:
        yield url


@pytest.fixture
async def connection(empty_url: str) -> AsyncIterator[AsyncConnection[Row]]:
    async with await AsyncConnection.connect(empty_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files, to be changed."""
    copy = tmp_path / "migrations"
    shutil.copytree(runner.FOLDER, copy)
    monkeypatch.setattr(runner, "FOLDER", copy)
    return copy


async def applied(connection: AsyncConnection[Row]) -> dict[str, str]:
    cursor = await connection.execute("SELECT name, checksum FROM public.evergraph_migrations")
    return dict(await cursor.fetchall())


def test_files_are_numbered_without_holes() -> None:
    assert [name.partition("_")[0] for name in FILES] == [
        f"{number:04}" for number in range(1, len(FILES) + 1)
    ]


async def test_once_is_enough_and_twice_is_harmless(
    empty_url: str, connection: AsyncConnection[Row]
) -> None:
    assert await migrate(empty_url) == FILES
    assert await migrate(empty_url) == []
    assert await applied(connection) == {
        name: hashlib.sha256((runner.FOLDER / name).read_bytes()).hexdigest() for name in FILES
    }


async def test_of_several_at_once_one_does_it(empty_url: str) -> None:
    results = await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    assert sorted(results) == [[], [], [], FILES]


async def test_two_databases_of_one_cluster_share_the_roles(
    empty_url: str, postgres: PostgresServer
) -> None:
    async with empty_database(postgres) as other_url:
        results = await asyncio.gather(migrate(empty_url), migrate(other_url))
    assert list(results) == [FILES, FILES]


async def test_an_edited_file_is_refused(empty_url: str, folder: Path) -> None:
    await migrate(empty_url)
    edited = folder / FILES[0]
    edited.write_text(edited.read_text() + "\n-- a remark\n")
    with pytest.raises(MigrationError, match=f"{FILES[0]} was edited"):
        await migrate(empty_url)


async def test_a_newer_database_is_refused(empty_url: str, folder: Path) -> None:
    newest = folder / "9999_from_the_future.sql"
    newest.write_text("CREATE TABLE future ()")
    assert await migrate(empty_url) == [*FILES, newest.name]
    newest.unlink()
    with pytest.raises(MigrationError, match=r"newer.*9999_from_the_future"):
        await migrate(empty_url)


async def test_a_file_is_applied_whole_or_not_at_all(
    empty_url: str, connection: AsyncConnection[Row], folder: Path
) -> None:
    broken = folder / "9999_broken.sql"
    broken.write_text("CREATE TABLE half (); CREATE TABEL other ()")
    with pytest.raises(SqlSyntaxError):
        await migrate(empty_url)
    assert sorted(await applied(connection)) == FILES
    cursor = await connection.execute("SELECT to_regclass('public.half')")
    assert await cursor.fetchone() == (None,)
    broken.write_text("CREATE TABLE whole ()")
    assert await migrate(empty_url) == [broken.name]


async def test_what_is_missing_is_known_to_whoever_serves(
    empty_url: str, connection: AsyncConnection[Row], folder: Path
) -> None:
    await migrate(empty_url)
    await connection.execute("SET ROLE evergraph_app")
    assert await runner.missing(connection) == []
    later = folder / "9999_later.sql"
    later.write_text("CREATE TABLE later ()")
    assert await runner.missing(connection) == [later.name]
    edited = folder / FILES[0]
    edited.write_text(edited.read_text() + "\n-- a remark\n")
    with pytest.raises(MigrationError, match=f"{FILES[0]} was edited"):
        await runner.missing(connection)
