"""Who counts as left behind in a folder, and who only stands beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from runtime.embedded.leftover import Leftover
from runtime.embedded.postgres import PostgresServer
from tests.support.processes import until


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two data folders, of which one's name begins with the other's."""
    tmp_path.chmod(0o755)
    return tmp_path / "data", tmp_path / "data-of-another"


async def test_only_the_server_of_the_folder_is_told_to_end(folders: tuple[Path, Path]) -> None:
    ours, other = folders
    home, lock = ours / "postgres", ours / "postgres.lock"
    async with PostgresServer(ours) as orphan, PostgresServer(other) as neighbour:
        with reader_of(lock) as reader:
            leftover = Leftover("postgres", PostgresServer.programs, home, lock)
            assert leftover.describe()["pid"] == orphan.pid
            with capture_logs():
                leftover.send(signal.SIGKILL)
            await orphan.wait()
            assert neighbour.alive
            assert reader.poll() is None
        await until(lambda: leftover.describe() == {"processes": 0})


async def test_a_folder_is_known_by_whatever_name(folders: tuple[Path, Path]) -> None:
    ours, alias = folders
    async with PostgresServer(ours) as server:
        alias.symlink_to(ours)
        leftover = Leftover(
            "postgres", PostgresServer.programs, alias / "postgres", alias / "postgres.lock"
        )
        assert leftover.describe()["pid"] == server.pid


async def test_a_server_that_does_not_answer_yet_is_named(folders: tuple[Path, Path]) -> None:
    async with PostgresServer(folders[0]):
        pass
    server = PostgresServer(folders[0])
    with capture_logs() as logs:
        starting = asyncio.create_task(server.start())
        await until(lambda: server.pid)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        await until(lambda: logs)
        os.kill(server.pid, signal.SIGCONT)
        await starting
    assert logs[0]["event"] == "start.waits"
    assert logs[0]["until"] == "postgres answers"
    assert logs[0]["pid"] == server.pid
    await server.stop()


@contextmanager
def reader_of(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Somebody who has a file open and is no server."""
    with path.open("rb") as file, subprocess.Popen(["sleep", "1000"], stdin=file) as reader:
        try:
            yield reader
        finally:
            reader.kill()
