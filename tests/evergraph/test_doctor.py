"""`evergraph doctor` finds what is wrong, says what to do, and tells no secret."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from psycopg import AsyncConnection

from domain.limits import installation_limits
from migrations import runner
from runtime.database import Row
from runtime.embedded import roles
from runtime.embedded.nats import NatsServer
from runtime.embedded.postgres import PostgresServer
from tests.support.api import eventually
from tests.support.cluster import Cluster
from tests.support.command import evergraph
from tests.support.databases import in_database
from tests.support.disk import disk

LINE = re.compile(r"(ok|warning|error) +([^:]+): (.+)")
ERROR = "error"
WARNING = "warning"
NEWEST = max(path.name for path in runner.FOLDER.glob("*.sql"))
PASSWORD = "s3cret-of-mine"
"""Which nobody may see."""
DISK_MEGABYTES = 16


class Told(NamedTuple):
    code: int
    text: str
    findings: Mapping[str, list[tuple[str, str]]]
    """States and texts of each part."""

    def states(self, *but: str) -> dict[str, str]:
        """The last of each part."""
        return {part: told[-1][0] for part, told in self.findings.items() if part not in but}

    def errors(self) -> list[str]:
        """Parts of which there is one."""
        return [part for part, told in self.findings.items() if any(s == ERROR for s, _ in told)]

    def says(self, part: str) -> str:
        return "\n".join(text for _, text in self.findings[part])


async def doctor(data_dir: Path, port: int, **environ: str) -> Told:
    command = ("doctor", "--data-dir", str(data_dir), "--port", str(port))
    done = await asyncio.to_thread(evergraph, *command, **environ)
    assert done.stderr == ""
    findings: dict[str, list[tuple[str, str]]] = {}
    for line in done.stdout.splitlines():
        if found := LINE.fullmatch(line):
            findings.setdefault(found[2], []).append((found[1], found[3]))
    return Told(done.returncode, done.stdout, findings)


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        yield port


@pytest.fixture
def port() -> int:
    with taken_port() as free:
        return free


@pytest.fixture
async def broken_url(postgres: PostgresServer) -> str:
    """Where no database is, for somebody with a password."""
    with taken_port() as free:
        return f"postgresql://someone:{PASSWORD}@127.0.0.1:{free}/evergraph"


@pytest.mark.holds("S43")
async def test_all_is_well_where_everything_runs(tmp_path: Path) -> None:
    whole = Cluster(tmp_path, {})
    port = whole.settings.port
    async with whole.running():

        async def is_well() -> Told | None:
            told = await doctor(tmp_path, port)
            return told if set(told.states().values()) == {"ok"} else None

        told = await eventually(is_well)
        assert told.code == 0
        assert told.states().keys() == {
            *("evergraph", "data folder", "evergraph up", f"port {port}"),
            *("database", "schema", "projector", "relay", "executor", "NATS", "run queue"),
        }
        assert told.text.endswith("\nno errors, no warnings.\n")
        assert [name for name, key in secrets(tmp_path).items() if key in told.text] == []
        other = await doctor(tmp_path / "other", port)
        assert other.errors() == [f"port {port}"]
        assert "the API of another installation" in other.says(f"port {port}")


def secrets(data_dir: Path) -> dict[str, str]:
    keys = [*(data_dir / f"{role}.key" for role in roles.ATTRIBUTES), data_dir / "jwt.key"]
    token = re.search(r'"token": "([^"]+)"', (data_dir / "nats" / "nats.json").read_text())
    assert token is not None
    return {path.name: path.read_text() for path in keys} | {"nats": token[1]}


@pytest.mark.parametrize("name", ["postgres", "nats"])
async def test_a_server_of_ours_that_hangs_is_an_error(tmp_path: Path, name: str) -> None:
    part = {"postgres": "database", "nats": "NATS"}[name]
    whole = Cluster(tmp_path, {})
    async with whole.running(), whole.hung(name):
        told = await doctor(tmp_path, whole.settings.port)
        assert told.code == 1
        assert part in told.errors()
        assert f"Look into {tmp_path}/logs/{name}.log." in told.text


async def test_where_nothing_runs_it_says_how_to_start(tmp_path: Path, port: int) -> None:
    told = await doctor(tmp_path / "data", port)
    assert told.code == 0
    assert told.states() == {
        **dict.fromkeys(("evergraph", "data folder", "evergraph up", f"port {port}"), "ok"),
        **dict.fromkeys(("database", "NATS"), WARNING),
    }
    assert told.text.count("Start everything with: evergraph up") == 2
    assert not (tmp_path / "data").exists()


async def test_given_servers_are_asked(
    tmp_path: Path, port: int, database_url: str, nats_server: NatsServer
) -> None:
    told = await doctor(tmp_path, port, DATABASE_URL=database_url, NATS_URL=nats_server.url)
    assert told.code == 0
    assert told.states("data folder", "run queue") == {
        **dict.fromkeys(("evergraph", "evergraph up", f"port {port}"), "ok"),
        **dict.fromkeys(("database", "schema", "NATS"), "ok"),
        **dict.fromkeys(("projector", "relay", "executor"), WARNING),
    }


@pytest.mark.holds("S43")
async def test_servers_that_are_not_there_are_errors_and_no_password_is_told(
    tmp_path: Path, port: int, broken_url: str
) -> None:
    nats_url = re.sub("postgresql(.*)/evergraph", r"nats\1", broken_url)
    told = await doctor(tmp_path, port, DATABASE_URL=broken_url, NATS_URL=nats_url)
    assert told.code == 1
    assert told.errors() == ["database", "NATS"]
    assert "Start it, or correct DATABASE_URL." in told.text
    assert "Start it, or correct NATS_URL." in told.text
    assert PASSWORD not in told.text


@pytest.mark.holds("S43")
async def test_of_a_wrong_url_no_piece_is_told(tmp_path: Path, port: int) -> None:
    told = await doctor(tmp_path, port, DATABASE_URL=f"postgresql://a:{PASSWORD}%zz@db/e")
    assert told.errors() == ["database"]
    assert PASSWORD not in told.text


async def test_a_database_that_is_not_migrated_is_an_error(
    tmp_path: Path, port: int, database_url: str, superuser: AsyncConnection[Row]
) -> None:
    forget = "DELETE FROM public.evergraph_migrations WHERE name = %s"
    await superuser.execute(forget, (NEWEST,))
    behind = await doctor(tmp_path, port, DATABASE_URL=database_url)
    assert behind.errors() == ["schema"]
    assert f"lacks {NEWEST}" in behind.says("schema")
    assert "evergraph migrate" in behind.text
    await superuser.execute("DROP TABLE public.evergraph_migrations")
    empty = await doctor(tmp_path, port, DATABASE_URL=database_url)
    assert empty.errors() == ["schema"]
    assert "not migrated" in empty.says("schema")


async def test_a_database_of_a_later_version_is_an_error(
    tmp_path: Path, port: int, database_url: str, superuser: AsyncConnection[Row]
) -> None:
    await superuser.execute("INSERT INTO public.evergraph_migrations VALUES ('9999_later.sql', '')")
    told = await doctor(tmp_path, port, DATABASE_URL=database_url)
    assert told.errors() == ["schema"]
    assert "newer than this program: 9999_later.sql" in told.says("schema")


async def test_a_user_who_may_not_serve_is_an_error(
    tmp_path: Path, port: int, postgres: PostgresServer, superuser: AsyncConnection[Row]
) -> None:
    await superuser.execute(f"CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}'")
    try:
        url = re.sub("//[^@]*@", f"//stranger:{PASSWORD}@", postgres.url)
        told = await doctor(tmp_path, port, DATABASE_URL=in_database(url, superuser.info.dbname))
    finally:
        await superuser.execute("DROP ROLE stranger")
    assert told.errors() == ["database"]
    assert "stranger may not take the role evergraph_app" in told.says("database")


async def test_a_port_of_somebody_else_is_an_error(tmp_path: Path) -> None:
    with taken_port() as port:
        told = await doctor(tmp_path, port)
    assert told.code == 1
    assert told.errors() == [f"port {port}"]
    assert f"pid {os.getpid()}, which does not answer" in told.says(f"port {port}")
    assert "--port" in told.text


async def test_a_data_folder_that_cannot_be_is_an_error(tmp_path: Path, port: int) -> None:
    file = tmp_path / "file"
    file.touch()
    for place, text in ((file, "is no folder"), (file / "below", "cannot be")):
        told = await doctor(place, port)
        assert told.code == 1
        assert "data folder" in told.errors()
        assert text in told.says("data folder")


@pytest.fixture
def open_dir(tmp_path: Path) -> Path:
    """A data folder that is everybody's."""
    (tmp_path / "jwt.key").touch(mode=0o644)
    tmp_path.chmod(0o777)
    return tmp_path


async def test_what_everybody_may_read_or_write_is_an_error(open_dir: Path, port: int) -> None:
    told = await doctor(open_dir, port)
    assert told.errors() == ["data folder"]
    assert f"Run: chmod o-w {open_dir}\n" in told.text
    assert f"Run: chmod o= {open_dir / 'jwt.key'}\n" in told.text


async def test_a_disk_with_little_room_is_an_error(tmp_path: Path, port: int) -> None:
    assert DISK_MEGABYTES * 1024**2 < installation_limits.DISK_FREE_BYTES_MIN
    with disk(tmp_path / "disk", DISK_MEGABYTES) as small:
        told = await doctor(small.path, port)
    assert told.errors() == ["data folder"]
    assert "0.0 GiB free" in told.says("data folder")
