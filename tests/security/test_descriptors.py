"""An API that may open few files goes on for those whom it has, and can always open some more."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import psutil

from domain.limits import connection_limits
from runtime import ids
from runtime.embedded.nats import NatsServer
from runtime.secrets import sign_token
from runtime.settings import Settings, environment
from tests.support.api import eventually, free_port
from tests.support.cluster import Process
from tests.support.command import EVERGRAPH
from tests.support.processes import limit, limits_of
from tests.support.served import is_served
from tests.support.wire import Wire, Wires, wires

FILES = 192
MANY = 400


@asynccontextmanager
async def _started(settings: Settings, files: int) -> AsyncIterator[Process]:
    """`evergraph api` that may open so many files."""
    log = settings.data_dir / "api.log"
    assert settings.database_url is not None
    assert settings.nats_url is not None
    with log.open("wb") as output:
        process = Process(
            await asyncio.create_subprocess_exec(
                *("sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *EVERGRAPH, "api"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(
                    DATABASE_URL=settings.database_url,
                    NATS_URL=settings.nats_url,
                    EVERGRAPH_DATA_DIR=str(settings.data_dir),
                    EVERGRAPH_PORT=str(settings.port),
                ),
            ),
            log,
        )
    try:
        yield process
    finally:
        if not process.has_ended:
            await process.stop()


def _settings(database_url: str, nats_server: NatsServer, folder: Path) -> Settings:
    return Settings(
        database_url=database_url, nats_url=nats_server.url, data_dir=folder, port=free_port()
    )


@asynccontextmanager
async def _served(settings: Settings, files: int) -> AsyncIterator[tuple[Process, Wires]]:
    address = f"http://127.0.0.1:{settings.port}"
    async with (
        _started(settings, files) as process,
        httpx2.AsyncClient(base_url=address, timeout=20, trust_env=False) as http,
        wires(http) as lines,
    ):
        await eventually(lambda: is_served(http))
        await http.aclose()
        yield process, lines


async def test_descriptors_are_left_for_all_else(
    database_url: str, nats_server: NatsServer, tmp_path: Path
) -> None:
    settings = _settings(database_url, nats_server, tmp_path)
    token = sign_token(settings, user_id=ids.new_id(), email="user@example.com")
    known = f"Host: x\r\nAuthorization: Bearer {token}\r\n"
    register = f"POST /api/v1/auth/user HTTP/1.1\r\n{known}\r\n".encode()
    late = f"GET /api/v1/graphs HTTP/1.1\r\n{known}At-Least: 999999999\r\n\r\n".encode()
    async with _served(settings, FILES) as (process, lines):
        silent = [await lines.connect() for _ in range(MANY)]
        assert (await (await lines.connect()).ask(register)).status == 200
        assert await silent[0].rest() == b""

        asked = []
        for _ in range(MANY):
            asked.append(await lines.connect())
            await asked[-1].send(late)
        assert (await (await lines.connect()).ask()).status == 200
        statuses = await asyncio.gather(*map(_status, asked))
        assert {200, 503} <= set(statuses) <= {0, 200, 503}
        lines.close()

        async def is_served_again() -> bool:
            """Who waited had all sessions of the database, until it was seen that they left."""
            return (await (await lines.connect()).ask(register)).status == 200

        await eventually(is_served_again)
        again = [await lines.connect() for _ in range(40)]
        assert [(await wire.ask(register)).status for wire in again] == [200] * 40
        assert _told(process, "descriptors.few") == 1
        assert not [entry for entry in process.logged() if entry["level"] == "error"]


async def test_none_left_ends_those_who_ask_for_nothing_and_is_told_once(
    database_url: str, nats_server: NatsServer, tmp_path: Path
) -> None:
    settings = _settings(database_url, nats_server, tmp_path)
    async with _served(settings, 4 * FILES) as (process, lines):
        kept = await lines.connect()
        silent = [await lines.connect() for _ in range(FILES)]
        assert (await kept.ask()).status == 200
        files = psutil.Process(process.pid).num_fds()
        with _limited(process.pid, files - FILES // 2):
            for _ in range(8):
                assert (await (await lines.connect()).ask()).status == 200
            assert await silent[0].rest() == b""
            assert (await kept.ask()).status == 200
            assert _told(process, "descriptors.short") == 1
        again = [await lines.connect() for _ in range(FILES)]
        assert [(await wire.ask()).status for wire in again] == [200] * FILES
        assert not [entry for entry in process.logged() if entry["level"] == "error"]


def _told(process: Process, event: str) -> int:
    return sum(entry["event"] == event for entry in process.logged())


@contextmanager
def _limited(pid: int, files: int) -> Iterator[None]:
    """A process may have no more than so many files in this block."""
    soft, hard = limits_of(pid, "Max open files")
    limit(pid, "nofile", files, hard)
    try:
        yield
    finally:
        limit(pid, "nofile", soft, hard)


async def _status(wire: Wire) -> int:
    """0 where there is no answer."""
    try:
        return (await wire.answer()).status
    except (EOFError, ConnectionError):
        return 0


async def test_an_api_with_next_to_none_does_not_start(
    database_url: str, nats_server: NatsServer, tmp_path: Path
) -> None:
    settings = _settings(database_url, nats_server, tmp_path)
    files = connection_limits.DESCRIPTORS_KEPT + connection_limits.HEALTH_CONNECTIONS_MAX
    async with _started(settings, files) as process:
        assert await process.ended() == 1
        assert f"opens more than {files} files" in process.log.read_text()
