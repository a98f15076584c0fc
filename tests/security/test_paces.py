"""A user's runs fill the log at a rate: they are slowed down for it, and others are not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from blocks.data import StoreValue
from domain.limits import worker_limits
from domain.runs import NodeCompleted, RunClaimed, RunCompleted
from runtime.embedded.postgres import PostgresServer
from runtime.eventlog.mapper import encode
from tests.support.api import Platform, eventually, platform
from tests.support.graphs import Document, echo, graph, items, node
from tests.support.log import whole_stream
from workers.executor.run_writer import ROW_BYTES
from workers.executor.write_rates import BURST_SECONDS

RATE = 50_000
ITEMS = 1_000


@pytest_asyncio.fixture(loop_scope="session")
async def slow(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """An installation where a user may write less than the others in these tests."""
    folder = tmp_path_factory.mktemp("slow")
    async with platform(postgres, folder, bytes_per_user=RATE) as running:
        yield running


def many() -> Document:
    """A free graph of many quick nodes."""
    return graph(
        items("each", *range(ITEMS)), node("keep", StoreValue), links="each.item > keep.input"
    )


async def test_a_fast_run_takes_its_time_and_another_user_does_not_wait(slow: Platform) -> None:
    fast, other = await slow.user(), await slow.user()
    big, small = await fast.save(many()), await other.save(echo())
    run_id = await fast.start(big)

    async def has_begun() -> bool:
        stream = await whole_stream(slow.log, f"run-{run_id}")
        return any(isinstance(entry.event, NodeCompleted) for entry in stream)

    await eventually(has_begun)
    await other.ended(small, await other.start(small, {"x": 1}))
    assert (await fast.see(big, run_id)).status == "RUNNING"
    assert (await fast.ended(big, run_id)).status == "COMPLETED"
    stream = await whole_stream(slow.log, f"run-{run_id}")
    sizes = [len(encode(entry.event)) + ROW_BYTES for entry in stream]
    claimed = next(entry for entry in stream if isinstance(entry.event, RunClaimed))
    assert isinstance(stream[-1].event, RunCompleted)
    seconds = (stream[-1].recorded_at - claimed.recorded_at).total_seconds()
    # What was written last need not be waited for.
    waited_for = sum(sizes[: -worker_limits.RUN_FLUSH_EVENTS])
    assert seconds >= waited_for / RATE - BURST_SECONDS - 0.1
