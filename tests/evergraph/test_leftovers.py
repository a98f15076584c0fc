"""A start that finds the servers of an earlier one, which hang: `up` says so and ends them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from evergraph.up import REGISTER
from tests.support.cluster import Cluster, Entry
from tests.support.processes import is_alive, is_stopped, until

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
WALL = 0x40000000


async def acknowledge(whole: Cluster) -> None:
    async with await whole.connect() as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 'acknowledged' AS text")


async def is_kept(whole: Cluster) -> bool:
    async with await whole.connect() as connection:
        found = await connection.execute("SELECT text FROM kept")
        return await found.fetchall() == [("acknowledged",)]


def said(whole: Cluster, event: str, **told: object) -> list[Entry]:
    """Lines of the supervisor's log."""
    entries = (entry for entry in whole.logged() if entry["event"] == event)
    return [entry for entry in entries if told.items() <= entry.items()]


def wal_writer(postmaster: psutil.Process) -> psutil.Process:
    """The process of PostgreSQL that writes the log; sessions come and go beside it."""
    for child in postmaster.children():
        with suppress(psutil.NoSuchProcess):
            if "walwriter" in " ".join(child.cmdline()):
                return child
    raise AssertionError("no WAL writer runs")


async def killed(whole: Cluster) -> None:
    """`kill -9` of the supervisor."""
    pid = await whole.kill("up")
    await until(lambda: not is_alive(pid))


@pytest.mark.parametrize("server", ["postgres", "nats"])
async def test_a_stopped_server_is_named_and_told_to_end(tmp_path: Path, server: str) -> None:
    whole = Cluster(tmp_path, {})
    async with whole.running():
        await acknowledge(whole)
        pid = await whole.send(server, signal.SIGSTOP)
        await until(lambda: is_stopped(pid))
        await killed(whole)
        await until(lambda: is_stopped(pid))
    async with whole.running():
        assert not is_alive(pid)
        assert await is_kept(whole)
    assert said(whole, "start.waits", until=f"{server} of an earlier start ends")
    told, *_ = said(whole, "leftover.told", server=server)
    assert told["pid"] == pid
    assert told["status"] == "stopped"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", told["since"])
    assert told["signal"] == {"postgres": "SIGQUIT", "nats": "SIGTERM"}[server]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a test hold a process so")
@pytest.mark.parametrize("server", ["postgres", "nats"])
async def test_a_server_that_hears_no_signal_is_killed(tmp_path: Path, server: str) -> None:
    whole = Cluster(tmp_path, {})
    async with whole.running():
        await acknowledge(whole)
        pid = whole.pids()[server]
        with held(pid):
            await killed(whole)
            async with whole.running():
                assert await is_kept(whole)
                assert whole.pids()[server] != pid
    signals = [entry["signal"] for entry in said(whole, "leftover.told", server=server)]
    assert signals[:2] == [{"postgres": "SIGQUIT", "nats": "SIGTERM"}[server], "SIGKILL"]


async def test_a_session_that_outlived_its_server_is_found_by_what_it_holds(
    tmp_path: Path,
) -> None:
    whole = Cluster(tmp_path, {})
    async with whole.running():
        await acknowledge(whole)
        postmaster = psutil.Process(whole.pids()["postgres"])
        writer = wal_writer(postmaster)
        writer.suspend()
        await killed(whole)
        postmaster.kill()
        await until(lambda: not is_alive(postmaster.pid))
        assert is_stopped(writer.pid)
    async with whole.running():
        assert not is_alive(writer.pid)
        assert await is_kept(whole)
    told, *_ = said(whole, "leftover.told", server="postgres")
    assert told["pid"] == writer.pid


async def test_an_api_that_has_not_noticed_yet_is_waited_for(tmp_path: Path) -> None:
    whole = Cluster(tmp_path, {})
    async with whole.running():
        api = await whole.send("api", signal.SIGSTOP)
        await killed(whole)
    port = whole.settings.port
    waiting = asyncio.create_task(go_on(whole, api, f"127.0.0.1 port {port} is free"))
    async with whole.running():
        await waiting
        assert whole.pids()["api"] != api


async def test_a_start_that_takes_long_says_what_it_waits_for(tmp_path: Path) -> None:
    whole = Cluster(tmp_path, {})
    holding_up = asyncio.create_task(hold_up(whole, "api", "commands are taken"))
    async with whole.running():
        await holding_up


async def hold_up(whole: Cluster, name: str, what: str) -> None:
    """Stop a process as it starts, until the supervisor says that it waits for `what`."""
    await until((whole.settings.data_dir / REGISTER).exists)
    await go_on(whole, await whole.send(name, signal.SIGSTOP), what)


async def go_on(whole: Cluster, pid: int, what: str) -> None:
    """Let a stopped process go on when the supervisor says that it waits for `what`."""
    await until(lambda: said(whole, "start.waits", until=what))
    os.kill(pid, signal.SIGCONT)


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Hold a process as a debugger does: nothing but SIGKILL reaches it."""
    libc = ctypes.CDLL(None, use_errno=True)
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    for thread in threads:
        if libc.ptrace(PTRACE_ATTACH, thread, None, None) != 0:
            pytest.skip(f"this machine forbids it: {os.strerror(ctypes.get_errno())}")
        os.waitpid(thread, WALL)
    try:
        yield
    finally:
        for thread in threads:
            libc.ptrace(PTRACE_DETACH, thread, None, None)
            with suppress(ChildProcessError):
                os.waitpid(thread, WALL | os.WNOHANG)
