"""Real processes whose API is asked for what is large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from runtime.embedded.postgres import database_url
from runtime.eventlog.log import opened
from tests.support.api import SECONDS_MAX, Caller, Platform, answered
from tests.support.cluster import Cluster

AT_ONCE = 6
MEGABYTE = 1024 * 1024
ANSWER_BYTES_MAX = 16 * MEGABYTE
MEMORY_BYTES_MAX = 600 * MEGABYTE


class Attacked(Platform):
    """Real processes, without an executor: what runs do is written by the test."""

    cluster: Cluster

    async def asked(self, caller: Caller, path: str) -> list[Any]:
        """What so many requests at once are answered."""
        found = await asyncio.gather(*(caller.get(path) for _ in range(AT_ONCE)))
        assert max(len(answer.content) for answer in found) < ANSWER_BYTES_MAX
        assert self.peak() < MEMORY_BYTES_MAX
        return [answered(answer) for answer in found]

    def peak(self) -> int:
        """How much memory the API had at the most so far."""
        status = Path(f"/proc/{self.cluster.pids()['api']}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def attacked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Attacked]:
    cluster = Cluster(tmp_path_factory.mktemp("attacked"), {"EVERGRAPH_EXECUTORS": "0"})
    async with (
        cluster.running(),
        opened(database_url(cluster.settings), "test") as log,
        httpx2.AsyncClient(base_url=cluster.url, timeout=SECONDS_MAX, trust_env=False) as http,
    ):
        served = Attacked(cluster.settings, log, http)
        served.cluster = cluster
        yield served
        assert not cluster.complaints()
