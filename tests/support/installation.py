"""Fixtures of the test packages that call the API: one installation for all of a package's tests.

Tests do not meet: each is a user of its own, who waits for the end of its runs.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString, TypeVar

import httpx2
import pytest
import pytest_asyncio

from domain.events import Event
from domain.runs import stream_of
from runtime.database import Row
from runtime.embedded.postgres import PostgresServer, database_url
from runtime.eventlog.log import EventLog, opened
from runtime.eventlog.reader import StreamEvent
from tests.support import plugin_blocks
from tests.support.api import SECONDS_MAX, Caller, Platform, eventually, platform
from tests.support.cluster import Cluster
from tests.support.log import whole_stream
from tests.support.plugin import plugin_path, write_plugin

EXECUTOR = "executor-1"

SomeEvent = TypeVar("SomeEvent", bound=Event)


class Installation(Platform):
    """Real processes that know the blocks of `plugin_blocks`; one of them is an executor."""

    def __init__(self, cluster: Cluster, log: EventLog, http: httpx2.AsyncClient) -> None:
        super().__init__(cluster.settings, log, http)
        self.cluster = cluster

    async def kill_executor(self) -> None:
        """Kill it; its supervisor starts another one of the same name."""
        await self.cluster.replaced(EXECUTOR, await self.cluster.kill(EXECUTOR))

    @asynccontextmanager
    async def without_executor(self) -> AsyncIterator[None]:
        """Nobody drives runs in this block."""
        async with self.cluster.without(EXECUTOR):
            yield

    @asynccontextmanager
    async def doomed_executor(self, point: str) -> AsyncIterator[None]:
        """What is started in this block is driven by an executor that dies at a failpoint.

        When the block has been left it has died, and nobody has taken up yet what it had.
        """
        beside = self.cluster.beside("executor", EXECUTOR, EVERGRAPH_FAILPOINT=point)
        async with beside as doomed:
            yield
            assert await doomed.ended() == -signal.SIGKILL

    async def events(self, run_id: str) -> list[StreamEvent]:
        """The run's stream."""
        return await whole_stream(self.log, stream_of(run_id))

    async def recorded(self, run_id: str, kind: type[SomeEvent]) -> SomeEvent:
        """Wait until the run's stream holds an event of this kind, and return the last of them."""

        async def last() -> SomeEvent | None:
            history = [entry.event for entry in await self.events(run_id)]
            return next((event for event in reversed(history) if isinstance(event, kind)), None)

        found: SomeEvent = await eventually(last)
        return found

    async def rows(self, query: LiteralString, *parameters: object) -> list[Row]:
        """What a query finds."""
        async with self.log.pool.connection() as connection:
            return await (await connection.execute(query, parameters)).fetchall()


@asynccontextmanager
async def real_installation(
    data_dir: Path, plugins: Path, before: Callable[[], None] | None = None
) -> AsyncIterator[Installation]:
    """`evergraph up` with one executor and our test blocks, which become a plug-in at `plugins`."""
    write_plugin(plugins, [plugin_blocks.__name__])
    cluster = Cluster(data_dir, {"PYTHONPATH": plugin_path(plugins)}, before=before)
    async with (
        cluster.running(),
        opened(database_url(cluster.settings), "test") as log,
        httpx2.AsyncClient(base_url=cluster.url, timeout=SECONDS_MAX, trust_env=False) as http,
    ):
        yield Installation(cluster, log, http)
        assert not cluster.complaints()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def installation(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    async with platform(postgres, tmp_path_factory.mktemp("installation")) as running:
        yield running


@pytest.fixture
async def user(installation: Platform) -> Caller:
    """Somebody who has registered, and so has credits."""
    return await installation.user()
