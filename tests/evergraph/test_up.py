"""The whole installation as a person meets it: one command, its processes, its end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest

from runtime import settings
from tests.support.command import EMBEDDED, EVERGRAPH, evergraph
from tests.support.processes import is_alive, until
from tests.test_tidy import ROOT

PROCESSES = {"up", "postgres", "nats", "api", "executor-1", "projector", "relay", "sweeper"}


class Up:
    """A running `evergraph up --no-demo`."""

    def __init__(self, process: asyncio.subprocess.Process, data_dir: Path, port: int) -> None:
        self.process = process
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{port}"

    def pids(self) -> dict[str, int]:
        register = self.data_dir / "processes.json"
        return msgspec.json.decode(register.read_bytes(), type=dict[str, int])

    async def says(self, text: str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while text not in (line := (await self.process.stdout.readline()).decode()):
                assert line, await self._last_words()

    async def _last_words(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free: int = probe.getsockname()[1]
    return free


@asynccontextmanager
async def up(data_dir: Path, port: int) -> AsyncIterator[Up]:
    """Start it, wait for its greeting, and see to it that it has ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(*EVERGRAPH, "up", "--no-demo", "--port", str(port), "--data-dir", str(data_dir)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=settings.environment(**EMBEDDED),
    )
    running = Up(process, data_dir, port)
    try:
        await running.says("Evergraph is up.")
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@contextmanager
def client(running: Up) -> Iterator[httpx2.Client]:
    """Somebody with a token."""
    token = evergraph(
        "token", "--email", "someone@example.com", "--data-dir", str(running.data_dir)
    )
    assert token.returncode == 0, token.stderr
    headers = {"Authorization": f"Bearer {token.stdout.strip()}"}
    with httpx2.Client(base_url=running.url, headers=headers) as http:
        yield http


async def all_gone(pids: dict[str, int]) -> None:
    await until(lambda: not any(is_alive(pid) for pid in pids.values()), seconds=10)


async def test_it_serves_ends_on_interrupt_and_finds_its_data_again(
    tmp_path: Path, port: int
) -> None:
    async with up(tmp_path, port) as running:
        pids = running.pids()
        assert pids.keys() == PROCESSES
        assert all(is_alive(pid) for pid in pids.values())
        with client(running) as http:
            assert http.get("/health").status_code == 200
            created = http.post("/api/v1/auth/user")
            assert created.status_code == 200
        running.process.send_signal(signal.SIGINT)
        assert await running.process.wait() == 0
        assert running.process.stdout is not None
        told = await running.process.stdout.read()
        assert b"curl" in told
        assert b"Bearer eyJ" not in told
        await all_gone(pids)
        assert not (tmp_path / "processes.json").exists()
    async with up(tmp_path, port) as running:
        with client(running) as http:
            again = http.post("/api/v1/auth/user")
        assert again.json()["id"] == created.json()["id"]
        assert again.json()["created_at"] == created.json()["created_at"]


async def test_whatever_is_killed_is_started_again(tmp_path: Path, port: int) -> None:
    async with up(tmp_path, port) as running:
        first = running.pids()
        for name in sorted(PROCESSES - {"up"}):
            os.kill(first[name], signal.SIGKILL)
        await until(
            lambda: (
                (now := running.pids()).keys() == PROCESSES
                and all(now[name] != first[name] for name in PROCESSES - {"up"})
            ),
        )
        with client(running) as http:
            await until(lambda: _serves(http), seconds=20)
        assert running.process.returncode is None


async def test_a_killed_supervisor_leaves_nobody_behind(tmp_path: Path, port: int) -> None:
    async with up(tmp_path, port) as running:
        pids = running.pids()
        running.process.kill()
        await running.process.wait()
        await all_gone(pids)
    async with up(tmp_path, port) as running:
        with client(running) as http:
            assert http.get("/health").status_code == 200


async def test_a_data_folder_and_a_port_have_one_owner(tmp_path: Path, port: int) -> None:
    folder, other = tmp_path / "data", tmp_path / "other"
    async with up(folder, port):
        command = ("up", "--port", str(port), "--data-dir")
        same_port = await asyncio.to_thread(evergraph, *command, str(other))
        assert same_port.returncode == 1
        assert same_port.stderr.startswith(f"evergraph: cannot listen on 127.0.0.1 port {port}: ")
        assert same_port.stderr.count("\n") == 1
        same_folder = await asyncio.to_thread(evergraph, *command, str(folder))
        assert same_folder.returncode == 1
        assert same_folder.stderr == f"evergraph: another evergraph is running in {folder}\n"


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["up", "--port", "eighty"], {}),
        (["up", "--executors", "-1"], {}),
        (["up"], {"DATABASE_URL": "mysql://db"}),
        (["executor"], {"EVERGRAPH_LOG_LEVEL": "loud"}),
        (["token", "--email", "a@example.com"], {"JWT_VERIFY_KEY": "short"}),
    ],
)
def test_a_wrong_setting_is_one_line_and_nothing_starts(
    tmp_path: Path, arguments: list[str], environ: dict[str, str]
) -> None:
    data_dir = tmp_path / "data"
    refused = evergraph(*arguments, "--data-dir", str(data_dir), **environ)
    assert refused.returncode == 2
    assert refused.stderr.startswith("evergraph: ")
    assert refused.stderr.count("\n") == 1
    assert not data_dir.exists()


def test_it_says_its_version() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = evergraph("--version")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout == f"evergraph {declared['project']['version']}\n"


def test_whoever_puts_files_back_says_so(database_url: str, tmp_path: Path) -> None:
    said = [
        evergraph("restored", "--data-dir", str(tmp_path), DATABASE_URL=url)
        for url in (database_url, database_url, f"{database_url}1")
    ]
    assert [one.returncode for one in said] == [0, 0, 1]
    first, second = (one.stdout.removeprefix("The log has another epoch now: ") for one in said[:2])
    assert re.fullmatch(r"[0-9a-f]{16}\n", first)
    assert first != second
    assert said[2].stderr.startswith("evergraph: the database does not answer: ")


def test_a_start_that_fails_shows_the_end_of_the_log(tmp_path: Path, port: int) -> None:
    (tmp_path / "postgres").mkdir(mode=0o700)
    failed = evergraph("up", "--port", str(port), "--data-dir", str(tmp_path))
    assert failed.returncode == 1
    told, *last_lines = failed.stderr.splitlines()
    log = tmp_path / "logs" / "postgres.log"
    assert told.startswith("evergraph: postgres ended with code ")
    assert told.endswith(f"; the end of {log}:")
    assert [line.strip() for line in last_lines] == log.read_text().splitlines()
    assert not (tmp_path / "processes.json").exists()


def test_a_process_alone_needs_servers(tmp_path: Path) -> None:
    refused = evergraph("relay", "--data-dir", str(tmp_path))
    assert refused.returncode == 1
    assert "NATS_URL is not set" in refused.stderr


def _serves(http: httpx2.Client) -> bool:
    try:
        return http.get("/health").status_code == 200
    except httpx2.TransportError:
        return False
