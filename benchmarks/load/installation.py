"""`evergraph up` on a folder of its own, and what its processes cost the machine."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from psycopg import AsyncConnection

from benchmarks import server
from benchmarks.load import plugin, processes
from benchmarks.load.processes import Usage
from evergraph import health, tokens
from evergraph.up import REGISTER
from projections.catalogue import PROJECTIONS
from runtime import settings
from runtime.embedded import roles
from runtime.settings import Settings

HOST = "127.0.0.1"
START_SECONDS_MAX = 120
SETTLE_SECONDS_MAX = 60
SERVERS = ("postgres", "nats")
LOAD = "this load"

BEHIND = """
SELECT count(*) FROM log.notification_tracking
WHERE application_name = ANY(%s)
    AND notification_id < (SELECT coalesce(max(notification_id), 0) FROM log.stored_events)
"""


class Installation:
    """Where it listens and who it consists of."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.settings = Settings(data_dir=data_dir, port=port)
        self.port = port
        self.token = tokens.token_for(self.settings, "benchmark@example.com")
        self.database_url = roles.url(data_dir, roles.SUPERUSER)

    @property
    def pids(self) -> dict[str, int]:
        """Of each process, by its name in the register."""
        register = (self.settings.data_dir / REGISTER).read_bytes()
        return msgspec.json.decode(register, type=dict[str, int])

    def usage(self) -> dict[str, Usage]:
        """What each process used until now, and this one, which makes the load."""
        pids = self.pids
        supervisor = pids.pop("up")
        return {
            **processes.families(pids),
            "supervisor": processes.alone(supervisor),
            LOAD: processes.alone(os.getpid()),
        }

    async def settle(self) -> None:
        """Wait until the read models show all of the log, and put what was written on disk.

        Nobody shall pay for what was done before.
        """
        names = [projection.name for projection in PROJECTIONS]
        async with (
            asyncio.timeout(SETTLE_SECONDS_MAX),
            await AsyncConnection.connect(self.database_url, autocommit=True) as connection,
        ):
            while True:
                cursor = await connection.execute(BEHIND, (names,))
                if await cursor.fetchone() == (0,):
                    break
                await asyncio.sleep(0.05)
        await server.checkpoint(self.database_url)


def of_ours(figures: Mapping[str, float]) -> float:
    """The sum over Evergraph's own processes: without the servers and without the load."""
    return sum(figure for name, figure in figures.items() if name not in {*SERVERS, LOAD})


@asynccontextmanager
async def installation(data_dir: Path, **environ: str) -> AsyncIterator[Installation]:
    """Everything runs inside the block. Raises RuntimeError when it does not start.

    `environ` is what its processes are told beside the usual.
    """
    (port,) = free_ports(1)
    log = data_dir / "up.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "evergraph", "up", "--no-demo"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=settings.environment(
                PYTHONPATH=plugin.install(data_dir / "plugins"),
                DATABASE_URL="",
                NATS_URL="",
                EVERGRAPH_DATA_DIR=str(data_dir),
                EVERGRAPH_PORT=str(port),
                EVERGRAPH_SIGNUP_CREDITS="1000000000",
                **environ,
            ),
        )
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            while not await health.is_ready(HOST, port):
                if process.returncode is not None:
                    raise RuntimeError(log.read_text(encoding="utf-8"))
                await asyncio.sleep(0.05)
        yield Installation(data_dir, port)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def free_ports(count: int) -> list[int]:
    """So many ports of HOST, on none of which anybody listens."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]
