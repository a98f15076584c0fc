"""`evergraph up` on a folder of its own, and what its processes cost the machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from evergraph import health, tokens
from evergraph.up import REGISTER
from runtime import settings
from runtime.embedded.postgres import database_url
from runtime.settings import Settings

HOST = "127.0.0.1"
START_SECONDS_MAX = 60
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """Of one process with its children: seconds of CPU so far, and bytes of memory.

    Memory is the proportional set size: what processes share is divided among them.
    """

    cpu_seconds: float
    memory_bytes: int


class Installation:
    """Where it listens and who it consists of."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.settings = Settings(data_dir=data_dir, port=port)
        self.port = port
        self.token = tokens.token_for(self.settings, "benchmark@example.com")
        self.database_url = database_url(self.settings)

    def usage(self) -> dict[str, Usage]:
        """What each process used until now, by its name in the register."""
        register = (self.settings.data_dir / REGISTER).read_bytes()
        pids = msgspec.json.decode(register, type=dict[str, int])
        supervisor = pids.pop("up")
        children = _children()
        used = {name: _sum(_family(pid, children)) for name, pid in pids.items()}
        return {**used, "supervisor": _sum([supervisor])}


@asynccontextmanager
async def installation(data_dir: Path, port: int) -> AsyncIterator[Installation]:
    """Everything runs inside the block. Raises RuntimeError when it does not start."""
    log = data_dir / "up.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "evergraph", "up", "--no-demo"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=settings.environment(
                DATABASE_URL="",
                NATS_URL="",
                EVERGRAPH_DATA_DIR=str(data_dir),
                EVERGRAPH_PORT=str(port),
                EVERGRAPH_EGRESS_ALLOW="127.0.0.0/8",
                EVERGRAPH_SIGNUP_CREDITS="1000000000",
            ),
        )
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            while not await health.is_healthy(HOST, port):
                if process.returncode is not None:
                    raise RuntimeError(log.read_text(encoding="utf-8"))
                await asyncio.sleep(0.05)
        yield Installation(data_dir, port)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def own_cpu_seconds() -> float:
    """Of this process, which makes the load."""
    return sum(os.times()[:2])


def _children() -> dict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(_fields(stat)[1])
        except OSError:
            continue
        found[parent].append(int(stat.parent.name))
    return found


def _family(pid: int, children: dict[int, list[int]]) -> list[int]:
    return [pid, *(one for child in children.get(pid, ()) for one in _family(child, children))]


def _sum(pids: Iterable[int]) -> Usage:
    cpu_seconds, memory_bytes = 0.0, 0
    for pid in pids:
        try:
            fields = _fields(Path(f"/proc/{pid}/stat"))
            memory_bytes += _proportional_bytes(pid)
        except OSError:
            continue
        cpu_seconds += (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
    return Usage(cpu_seconds, memory_bytes)


def _fields(stat: Path) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on, behind the name in parentheses."""
    return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _proportional_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
