"""What one user stores and starts leaves memory, and time, to the others (issue 8, 2)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import pytest_asyncio

from blocks.catalogue import CONTRACTS
from blocks.data import AddToList, StoreValue
from commands import graphs
from domain.limits import memory_limits
from runtime import clock
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Repository
from tests.support.api import Caller, Saved, answered, eventually, saved
from tests.support.graphs import Document, graph, items, node
from tests.support.installation import EXECUTOR, Installation, real_installation
from tests.support.processes import resident_bytes

MEMORY_BYTES_MAX = 600 * 1024 * 1024
OTHERS_SECONDS_MAX = 10.0
"""A second or two, on a machine that has nothing else to do."""
DENSE: list[list[object]] = [[]] * 1_300_000
"""Takes 25 times as much memory as it has bytes."""
LOOK_SECONDS = 0.1
END_SECONDS_MAX = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    data_dir, plugins = tmp_path_factory.mktemp("memory"), tmp_path_factory.mktemp("plugins")
    async with real_installation(data_dir, plugins) as running:
        yield running


def holding(value: object) -> Document:
    return graph(node("kept", StoreValue, input=value))


async def stored_before(real: Installation, owner: Caller, document: Document) -> Saved:
    """A graph that the edge would refuse today."""
    context = CommandContext(owner=str(owner.user_id), actor=str(owner.user_id))
    done = await graphs.create(
        Repository(real.log), context, document=document, source=None, contracts=CONTRACTS
    )
    (kept,) = done.answer.graph.nodes
    model = {"id": done.answer.graph.id, "version": 1, "nodes": [{"id": kept.id}]}
    return saved(model, document)


@asynccontextmanager
async def bounded(real: Installation) -> AsyncIterator[None]:
    """No process takes more than MEMORY_BYTES_MAX in this block."""
    peaks: defaultdict[str, int] = defaultdict(int)

    async def watch() -> None:
        while True:
            for name, pid in real.cluster.pids().items():
                if name not in {"postgres", "nats"}:
                    peaks[name] = max(peaks[name], await asyncio.to_thread(resident_bytes, pid))
            await asyncio.sleep(LOOK_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
    assert peaks[EXECUTOR] > 0
    assert {name: peak for name, peak in peaks.items() if peak > MEMORY_BYTES_MAX} == {}


@asynccontextmanager
async def others_at_ease(real: Installation) -> AsyncIterator[None]:
    """In this block the runs of somebody else end soon, one after the other."""
    other = await real.user()
    small = await other.save(holding(1))
    took: list[float] = []

    async def live() -> None:
        while True:
            began = clock.monotonic()
            await other.ended(small, await other.start(small))
            took.append(clock.monotonic() - began)

    living = asyncio.create_task(live())
    try:
        yield
    finally:
        living.cancel()
        await asyncio.wait([living])
    assert living.cancelled(), living.exception()
    assert max(took) < OTHERS_SECONDS_MAX


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([[]] * (memory_limits.BODY_VALUES_MAX // 2 - 50), id="many values"),
        pytest.param("x" * 3_900_000, id="a long text"),
    ],
)
async def test_graphs_that_are_as_heavy_as_they_may_be_hurt_nobody_else(
    real: Installation, value: object
) -> None:
    attacker = await real.user()
    pid = real.cluster.pids()[EXECUTOR]
    async with bounded(real), others_at_ease(real):
        heavy = [await attacker.save(holding(value)) for _ in range(45)]
        runs = await asyncio.gather(*map(partial(started, attacker), heavy))
        await asyncio.gather(*(attacker.get(one.path) for one in heavy))
        for run_id in runs:
            await ended(real, run_id)
    assert real.cluster.pids()[EXECUTOR] == pid


async def test_heavier_ones_that_were_stored_before_can_be_read_and_run(
    real: Installation,
) -> None:
    """The edge took them once: each takes a hundred megabytes."""
    owner = await real.user()
    heavy = [await stored_before(real, owner, holding(DENSE)) for _ in range(6)]
    async with bounded(real), others_at_ease(real):
        for one in heavy:
            await ended(real, await started(owner, one))
            assert (await owner.get(one.path)).status_code == 200


async def test_a_run_that_collects_ever_more_values_ends_at_a_bound(real: Installation) -> None:
    """Each of a hundred lists takes 8 MB, and waits for an entry that never comes."""
    attacker = await real.user()
    heavy = await attacker.save(
        graph(
            items("many", *range(100)),
            node("grown", AddToList, list=[[]] * 120_000),
            items("never"),
            node("waits", AddToList),
            links="""
                many.item > grown.entry
                grown.updated_list > waits.list
                never.item > waits.entry
            """,
        )
    )
    async with bounded(real), others_at_ease(real):
        run_id = await attacker.start(heavy)

        async def has_failed() -> bool:
            found = await real.rows("SELECT status, error FROM read.runs WHERE run_id = %s", run_id)
            return found == [
                ("FAILED", "The values that the run holds take more than 256 MB of memory")
            ]

        await eventually(has_failed, END_SECONDS_MAX)


async def started(caller: Caller, one: Saved) -> str:
    """Start it, however often the answer is that there is no room at this moment."""
    while (response := await caller.post(one.execute_path, {})).status_code == 503:
        assert response.headers["Retry-After"]
        await asyncio.sleep(LOOK_SECONDS)
    return str(answered(response)["id"])


async def ended(real: Installation, run_id: str) -> None:
    """Wait for the end of a run, which itself is not looked at: it is large."""

    async def has_ended() -> bool:
        found = await real.rows("SELECT status FROM read.runs WHERE run_id = %s", run_id)
        return found == [("COMPLETED",)]

    await eventually(has_ended, END_SECONDS_MAX)


async def test_what_takes_far_more_memory_than_bytes_is_refused(real: Installation) -> None:
    user = await real.user()
    head = await real.at_rest()
    async with bounded(real):
        crowd = (user.post("/api/v1/graphs", {"graph": holding(DENSE)}) for _ in range(16))
        for response in await asyncio.gather(*crowd):
            message = answered(response, 413)["message"]
            assert message == f"The body must have at most {memory_limits.BODY_VALUES_MAX} values"
    assert await real.at_rest() == head


async def test_a_long_text_counts_as_one_value(real: Installation) -> None:
    user = await real.user()
    text = '[,{\\"' * memory_limits.BODY_VALUES_MAX
    await user.save(holding(text))
