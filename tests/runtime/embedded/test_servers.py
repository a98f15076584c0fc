"""The servers of a data folder, started for real, killed for real."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import nats
import psycopg
import pytest

from runtime.embedded import folder, privileges, roles
from runtime.embedded.child import StartError
from runtime.embedded.nats import NatsServer, nats_url
from runtime.embedded.postgres import PostgresServer, database_url
from runtime.settings import Settings
from tests.support.processes import is_alive, until

IS_ROOT = os.geteuid() == 0
ON_LINUX = sys.platform == "linux"

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from runtime import logs
from runtime.embedded.nats import NatsServer
from runtime.embedded.postgres import PostgresServer

logs.setup("supervisor", "info")

async def main():
    async with NatsServer(Path(sys.argv[1])) as nats:
        async with PostgresServer(Path(sys.argv[1])) as postgres:
            print(nats.pid, postgres.pid, flush=True)
            await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder that anybody may reach, with a path too long for a socket."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    data_dir = root / ("deep-" * 24) / "data"
    yield data_dir
    shutil.rmtree(root)
    shutil.rmtree(folder.socket_folder(data_dir), ignore_errors=True)


@asynccontextmanager
async def supervisor(
    data_dir: Path, before: Callable[[], None] | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int, int]]:
    """Another process that runs both servers: the process, and their pids.

    `before` runs in it first.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUPERVISOR, str(data_dir)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=before,
    )
    assert process.stdout is not None
    try:
        nats_pid, postgres_pid = map(int, (await process.stdout.readline()).split())
        yield process, nats_pid, postgres_pid
    finally:
        await process.communicate(b"")


async def write(url: str, text: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (text text)")
        await connection.execute("INSERT INTO kept VALUES (%s)", (text,))


async def read(url: str) -> list[str]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = await connection.execute("SELECT text FROM kept ORDER BY text")
        return [text for (text,) in await found.fetchall()]


async def setting(url: str, name: str) -> str:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        row = await (await connection.execute("SELECT current_setting(%s)", (name,))).fetchone()
        assert row is not None
        return str(row[0])


async def test_postgres_is_durable_private_and_found_again(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as server:
        assert await setting(server.url, "fsync") == "on"
        assert await setting(server.url, "synchronous_commit") == "on"
        if ON_LINUX:
            assert await setting(server.url, "recovery_init_sync_method") == "syncfs"
        assert await setting(server.url, "shared_buffers") == "128MB"
        assert await setting(server.url, "listen_addresses") == ""
        assert database_url(Settings(data_dir=data_dir)) == server.url
        sockets = folder.socket_folder(data_dir)
        # Root's processes are other users, who may pass.
        assert stat.S_IMODE(sockets.stat().st_mode) == (0o710 if IS_ROOT else 0o700)
        await write(server.superuser_url, "before")
    assert not server.alive
    assert not sockets.exists()
    async with PostgresServer(data_dir) as server:
        assert await read(server.superuser_url) == ["before"]


async def test_postgres_loses_nothing_when_it_is_killed(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as server:
        await write(server.superuser_url, "acknowledged")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        assert await server.wait() == -signal.SIGKILL
        await server.start()
        assert await read(server.superuser_url) == ["acknowledged"]


async def test_postgres_starts_although_its_old_pid_belongs_to_another(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as server:
        await write(server.superuser_url, "kept")
    stale = data_dir / "postgres" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{data_dir}/postgres\n1\n5432\n/tmp\n*\n")
    async with PostgresServer(data_dir) as server:
        assert await read(server.superuser_url) == ["kept"]


async def test_a_kill_while_the_cluster_is_made_does_no_harm(data_dir: Path) -> None:
    server = PostgresServer(data_dir)
    start = asyncio.create_task(server.start())
    unfinished = data_dir / "postgres.new"
    await until((unfinished / "global").exists)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(StartError, match="killed by signal 9"):
        await start
    assert not (data_dir / "postgres").exists()
    async with PostgresServer(data_dir) as server:
        await write(server.superuser_url, "after")
    assert not unfinished.exists()


async def test_a_server_that_cannot_start_says_why(data_dir: Path) -> None:
    async with PostgresServer(data_dir):
        pass
    with (data_dir / "postgres" / "postgresql.conf").open("a") as config:
        config.write("shared_buffers = much\n")
    with pytest.raises(StartError, match=r"ended with code 1(.|\n)*shared_buffers"):
        async with PostgresServer(data_dir):
            pass


@pytest.mark.skipif(not ON_LINUX, reason="elsewhere the next start ends them")
async def test_servers_end_with_their_supervisor_and_start_again_at_once(data_dir: Path) -> None:
    async with supervisor(data_dir) as (process, nats_pid, postgres_pid):
        await write(roles.url(data_dir, roles.SUPERUSER), "acknowledged")
        process.kill()
        async with NatsServer(data_dir), PostgresServer(data_dir) as server:
            assert not is_alive(nats_pid)
            assert not is_alive(postgres_pid)
            assert await read(server.superuser_url) == ["acknowledged"]


async def test_a_server_that_was_left_behind_is_told_to_end(data_dir: Path) -> None:
    async with PostgresServer(data_dir) as orphan:
        await write(orphan.superuser_url, "acknowledged")
        async with PostgresServer(data_dir) as server:
            await orphan.wait()
            assert await read(server.superuser_url) == ["acknowledged"]


@pytest.mark.skipif(not IS_ROOT, reason="only root has somebody to hand a server to")
async def test_root_hands_servers_to_a_user_without_privileges(data_dir: Path) -> None:
    async with NatsServer(data_dir) as nats, PostgresServer(data_dir) as server:
        # The tests may themselves be installed behind a folder that is closed to others.
        home = Path(sys.prefix)
        is_barred = privileges.barrier(privileges.account(data_dir / "postgres"), (home,))
        kept = 1 << privileges.CAP_DAC_READ_SEARCH if is_barred else 0
        for pid in (nats.pid, server.pid):
            assert _owner(pid) != 0
            assert _capabilities(pid) == kept


@pytest.mark.skipif(not (IS_ROOT and ON_LINUX), reason="needs root and Linux capabilities")
async def test_root_may_keep_data_below_a_folder_that_is_closed_to_others(data_dir: Path) -> None:
    closed = data_dir.parent
    closed.mkdir(mode=0o700)
    async with NatsServer(data_dir) as nats, PostgresServer(data_dir) as server:
        await write(server.superuser_url, "reached")
        for pid in (nats.pid, server.pid):
            assert _owner(pid) != 0
            assert _capabilities(pid) == 1 << privileges.CAP_DAC_READ_SEARCH
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    async with PostgresServer(data_dir) as server:
        assert await read(server.superuser_url) == ["reached"]


@pytest.mark.skipif(not (IS_ROOT and ON_LINUX), reason="needs root to become somebody else")
async def test_anybody_else_runs_servers_as_themselves(data_dir: Path) -> None:
    user = privileges.account(data_dir)
    folder.make(data_dir)
    os.chown(data_dir, user.uid, user.gid)
    past = privileges.barrier(user, [Path(sys.executable)]) or data_dir
    before = privileges.become(user, past, signal.SIGKILL)
    async with supervisor(data_dir, before) as (process, nats_pid, postgres_pid):
        assert _owner(process.pid) == _owner(nats_pid) == _owner(postgres_pid) == user.uid
    assert (data_dir / "postgres").stat().st_uid == user.uid


@pytest.mark.holds("S40")
async def test_a_folder_that_another_put_in_the_sockets_place_is_refused(data_dir: Path) -> None:
    sockets = folder.socket_folder(data_dir)
    sockets.mkdir(mode=0o755)
    with pytest.raises(StartError, match="not a private folder"):
        async with PostgresServer(data_dir):
            pass


def test_only_one_holds_a_data_folder(data_dir: Path) -> None:
    refused = pytest.raises(StartError, match="another evergraph is running")
    with folder.hold(data_dir), refused, folder.hold(data_dir):
        pass
    with folder.hold(data_dir):
        pass


def test_a_data_folder_that_cannot_be_made_is_named(data_dir: Path) -> None:
    data_dir.parent.mkdir(parents=True)
    data_dir.write_text("a file")
    with pytest.raises(StartError, match="cannot be made"), folder.hold(data_dir):
        pass


@pytest.mark.holds("S40", "S41")
async def test_nats_asks_for_its_token(data_dir: Path) -> None:
    async with NatsServer(data_dir) as server:
        assert nats_url(Settings(data_dir=data_dir)) == server.url
        host, _, port = server.url.rpartition("@")[2].partition(":")
        assert "Authorization Violation" in await _greet_without_token(host, int(port))
        client = await nats.connect(server.url)
        await client.close()
    config = data_dir / "nats" / "nats.json"
    assert stat.S_IMODE(config.stat().st_mode) == (0o640 if IS_ROOT else 0o600)
    assert msgspec.json.decode(config.read_bytes())["jetstream"]["sync_interval"] == "always"


async def test_nats_keeps_its_messages_and_its_address_when_it_is_killed(data_dir: Path) -> None:
    async with NatsServer(data_dir) as server:
        url = server.url
        client = await nats.connect(url)
        stream = client.jetstream()
        await stream.add_stream(name="runs", subjects=["runs.*"])
        await stream.publish("runs.ready", b"one")
        await client.close()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await server.wait()
        await server.start()
        assert server.url == url
    async with NatsServer(data_dir) as server:
        assert server.url == url
        client = await nats.connect(server.url)
        kept = await client.jetstream().get_last_msg("runs", "runs.ready")
        assert kept.data == b"one"
        await client.close()


async def test_nats_moves_when_its_port_is_taken(data_dir: Path) -> None:
    async with NatsServer(data_dir) as server:
        token, _, place = server.url.removeprefix("nats://").partition("@")
    host, _, port = place.partition(":")
    with socket.create_server((host, int(port))):
        async with NatsServer(data_dir) as server:
            assert server.url.startswith(f"nats://{token}@{host}:")
            assert not server.url.endswith(f":{port}")


def test_the_settings_come_before_the_embedded_servers(data_dir: Path) -> None:
    settings = Settings(
        database_url="postgresql://db/app", nats_url="nats://nats:4222", data_dir=data_dir
    )
    assert database_url(settings) == settings.database_url
    assert nats_url(settings) == settings.nats_url


def test_a_broker_that_never_ran_has_no_address(data_dir: Path) -> None:
    with pytest.raises(StartError, match="NATS_URL is not set"):
        nats_url(Settings(data_dir=data_dir))


async def _greet_without_token(host: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"CONNECT {}\r\nPING\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


def _owner(pid: int | None) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def _capabilities(pid: int | None) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("CapEff:")[2].split()[0], 16)
