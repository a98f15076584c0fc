"""Runs from checkpoints: at every moment what the fold of all events is, and a cache."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from api.live import messages
from api.runs.node_schemas import node_execution
from api.runs.schemas import run_in_full
from domain.engine import records
from domain.limits import log_limits, memory_limits, request_limits, value_limits
from domain.runs import Fork, NodeCompleted, RunCompleted, RunStats, stream_of
from projections.projection import Recorded
from projections.runs import details
from projections.runs.details import AsOf
from projections.runs.pages import Shown
from projections.runs.views import Views
from runtime.aggregates.repository import Repository
from runtime.aggregates.run_repository import RunRepository, Scope
from runtime.backlog import Backlog
from runtime.database import Row
from runtime.eventlog.log import EventLog, opened
from tests.commands.runs.driving import saved
from tests.projections.lived import Life, graph_of
from tests.support.graphs import agent_output, graph, items

Document = dict[str, Any]
EVERYTHING = range(100_000)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints and pages after a few events, and values that are large early."""
    monkeypatch.setattr(log_limits, "CHECKPOINT_EVENTS", 5)
    monkeypatch.setattr(log_limits, "STREAM_PAGE_EVENTS", 7)
    monkeypatch.setattr(value_limits, "VALUE_INLINE_BYTES_MAX", 30)
    monkeypatch.setattr(records, "BLOCK", 4)


async def look(
    views: Views,
    run_id: str,
    version: int | None = None,
    numbers: range = range(request_limits.EXECUTIONS_PAGE),
    outputs_after: int = 0,
) -> Document:
    show = partial(run_in_full, numbers=numbers, outputs_after=outputs_after)
    async with views.permit(Backlog(memory_limits.ANSWERS_BYTES_MAX).share("ada"), 0) as permit:
        page = await details.look(views, permit, run_id, "ada", show, as_of=AsOf(version=version))
        return msgspec.json.decode(msgspec.json.encode(page))  # type: ignore[no-any-return]


async def in_pages(views: Views, run_id: str, version: int | None, limit: int) -> Document:
    """All pages of a run, put together."""
    whole = page = await look(views, run_id, version, range(limit))
    while page["next_after"] is not None or page["next_outputs"] is not None:
        after = page["next_after"]
        outputs_after = page["next_outputs"]
        first = len(whole["node_executions"]) if after is None else after
        seen = sum(map(len, whole["outputs"].values())) if outputs_after is None else outputs_after
        page = await look(views, run_id, version, range(first, first + limit), seen)
        whole["node_executions"] += page["node_executions"]
        for name, values in page["outputs"].items():
            whole["outputs"].setdefault(name, []).extend(values)
    return {**whole, "next_after": None, "next_outputs": None}


async def from_the_first_event(repository: Repository, run_id: str, version: int) -> Document:
    """The same from a fold that has read every value and keeps every execution."""
    scope = Scope(version=version, kept=EVERYTHING, gathers_outputs=True)
    run = await RunRepository(repository).load(run_id, scope)
    assert run is not None
    shown = [
        node_execution(run, Shown(e, e.data or e.given, e.outputs, []))
        for _, e in sorted(run.executions.items())
    ]
    known = {
        "version": run.version,
        "status": run.status,
        "outputs": run.outputs_by_name(),
        "node_executions": shown,
        "waiting_count": sum(e.status == "INCOMPLETE" for e in run.executions.values())
        + sum(not q.arrivals and q.last_given is None for q in run.nodes),
        "started_at": run.started_at,
    }
    return msgspec.json.decode(msgspec.json.encode(known))  # type: ignore[no-any-return]


async def versions_of(log: EventLog, run_id: str) -> int:
    stream = stream_of(run_id)
    return (await log.versions_of([stream]))[stream]


async def checkpoints_of(superuser: AsyncConnection[Row], run_id: str) -> list[tuple[int, int]]:
    cursor = await superuser.execute(
        "SELECT base, version FROM work.checkpoints WHERE stream = %s ORDER BY version",
        (stream_of(run_id),),
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]


async def assert_same_at(
    repository: Repository, views: Views, run_id: str, versions: Sequence[int], limit: int
) -> None:
    for version in versions:
        expected = await from_the_first_event(repository, run_id, version)
        page = await in_pages(views, run_id, version, limit)
        assert {name: page[name] for name in expected} == expected


async def lived(repository: Repository, seed: int, events: int) -> Life:
    life = Life(repository, await graph_of(repository), seed)
    await life.begin()
    await life.go_on(events)
    return life


@pytest.mark.parametrize("seed", range(6))
async def test_a_run_from_a_checkpoint_is_that_of_its_events_at_every_version(
    repository: Repository, superuser: AsyncConnection[Row], small: None, seed: int
) -> None:
    life = await lived(repository, seed, 70)
    last = await versions_of(repository.log, life.run_id)
    versions = list(range(1, last + 1))
    random.Random(seed).shuffle(versions)
    views = Views(RunRepository(repository))
    await assert_same_at(repository, views, life.run_id, versions, limit=3 + seed)
    chain = await checkpoints_of(superuser, life.run_id)
    assert len(chain) > 2
    assert [base for base, _ in chain] == [0, *(version for _, version in chain[:-1])]


@pytest.mark.parametrize("seed", range(4))
async def test_a_fork_begins_with_the_checkpoints_of_what_it_was_forked_from(
    repository: Repository, small: None, seed: int
) -> None:
    life = await lived(repository, seed, 50)
    version = 40
    views = Views(RunRepository(repository))
    await look(views, life.run_id)
    source = await RunRepository(repository).load(
        life.run_id, Scope(version=version, kept=EVERYTHING)
    )
    assert source is not None
    retried = tuple(source.failed)
    assert retried or seed
    fork = Life(repository, life.graph_id, seed)
    await fork.begin(source, Fork(life.run_id, version, retried=retried))
    await fork.go_on(30)
    last = await versions_of(repository.log, fork.run_id)
    await assert_same_at(repository, views, fork.run_id, range(1, last + 1), limit=5)


async def test_readers_of_many_processes_leave_one_chain(
    repository: Repository, superuser: AsyncConnection[Row], small: None
) -> None:
    life = await lived(repository, 1, 70)
    expected = await from_the_first_event(
        repository, life.run_id, await versions_of(repository.log, life.run_id)
    )
    many = [Views(RunRepository(repository)) for _ in range(8)]
    pages = await asyncio.gather(*(look(views, life.run_id) for views in many))
    for page in pages:
        assert {name: page[name] for name in expected} == expected
    chain = await checkpoints_of(superuser, life.run_id)
    assert [base for base, _ in chain] == [0, *(version for _, version in chain[:-1])]


@pytest.mark.parametrize(
    "loss",
    [
        "DELETE FROM work.checkpointed",
        "DELETE FROM work.checkpoint_parts",
        "DELETE FROM work.checkpoint_parts WHERE block = 1",
        "UPDATE work.checkpoints SET state = 'damaged'",
        "UPDATE work.checkpoint_parts SET content = 'damaged' WHERE block = 0",
        "UPDATE work.checkpoints SET format = format",
    ],
)
async def test_whatever_is_lost_of_checkpoints_is_made_again(
    repository: Repository, superuser: AsyncConnection[Row], small: None, loss: Any
) -> None:
    life = await lived(repository, 2, 60)
    views = Views(RunRepository(repository))
    page = await look(views, life.run_id)
    await superuser.execute(loss)
    assert await look(views, life.run_id) == page
    assert await look(views, life.run_id) == page
    assert len(await checkpoints_of(superuser, life.run_id)) > 3


async def test_a_look_begins_at_the_last_checkpoint(
    repository: Repository, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await lived(repository, 3, 70)
    views = Views(RunRepository(repository))
    page = await look(views, life.run_id)
    read: list[int] = []
    stream_pages = repository.log.stream_pages

    def counting(stream: str, after: int = 0, upto: int | None = None) -> Any:
        read.append(after)
        return stream_pages(stream, after, upto)

    monkeypatch.setattr(repository.log, "stream_pages", counting)
    assert await look(views, life.run_id) == page
    first, began = read
    assert first == 0  # how it was created
    assert page["version"] - began < 30


@pytest.mark.parametrize("has_some", [True, False])
async def test_a_database_that_takes_no_changes_is_read(
    repository: Repository,
    superuser: AsyncConnection[Row],
    database_url: str,
    small: None,
    has_some: bool,
) -> None:
    life = await lived(repository, 1, 70)
    last = await versions_of(repository.log, life.run_id)
    if has_some:
        await look(Views(RunRepository(repository)), life.run_id, last // 2)
        await superuser.execute("UPDATE work.checkpointed SET used_at = '-infinity'")
    before = await checkpoints_of(superuser, life.run_id)
    name = superuser.info.dbname
    await superuser.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    async with opened(database_url, "reader") as log:
        views = Views(RunRepository(Repository(log)))
        await assert_same_at(repository, views, life.run_id, range(1, last + 1), limit=5)
    assert await checkpoints_of(superuser, life.run_id) == before


async def test_checkpoints_that_nobody_uses_are_forgotten(
    repository: Repository, superuser: AsyncConnection[Row], small: None
) -> None:
    one, other, third = [await lived(repository, seed, 40) for seed in (1, 2, 3)]
    views = Views(RunRepository(repository))
    for life in (one, other):
        await look(views, life.run_id)
    await superuser.execute("UPDATE work.checkpointed SET used_at = now() - interval '8 days'")
    await look(views, one.run_id)
    await look(views, third.run_id)
    kept = [len(await checkpoints_of(superuser, life.run_id)) for life in (one, other, third)]
    assert [count > 0 for count in kept] == [True, False, True]


# --- pages bounded by bytes ----------------------------------------------------------------------
VALUE_BYTES, VALUES = 250 * 1024, 40
ROOM = 512 * 1024
"""Two values, and something beside them."""


@pytest.fixture
async def large_run(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run whose outputs are forty values of a quarter of a megabyte."""
    monkeypatch.setattr(request_limits, "OUTPUTS_PAGE_BYTES", ROOM)
    monkeypatch.setattr(request_limits, "EXECUTIONS_PAGE_BYTES", ROOM)
    document = graph(items("a", 1), agent_output("y"), links="a.item > y.value")
    life = Life(repository, await saved(repository, document), 0)
    await life.begin()
    (first,) = life.unfinished()
    node_id = first.node.node.node_id
    texts = [f"{number:03}".ljust(VALUE_BYTES - 2, "x") for number in range(VALUES)]
    await life.write(NodeCompleted(0, node_id, [("item", text) for text in texts], 1))
    await life.write(RunCompleted(RunStats()))
    return life.run_id


async def test_an_answer_has_no_more_than_there_is_room_for(
    repository: Repository, large_run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = Views(RunRepository(repository))
    get, read = repository.log.values.get, []

    async def counting(owner: str, hashes: Any) -> dict[str, bytes]:
        read.extend(hashes)
        return await get(owner, hashes)

    monkeypatch.setattr(repository.log.values, "get", counting)
    page = await look(views, large_run, numbers=range(1, 2))
    assert [len(page["outputs"]["y"]), page["next_outputs"]] == [2, 2]
    assert (len(page["node_executions"]), page["next_after"]) == (1, 2)
    assert len(read) == 2  # the one execution was given the first of the two outputs
    read.clear()
    page = await look(views, large_run, numbers=range(1, 20), outputs_after=VALUES)
    assert (len(page["node_executions"]), page["next_after"]) == (2, 3)
    assert (page["outputs"], page["next_outputs"]) == ({}, None)
    assert len(read) == 2
    alone = (await look(views, large_run, numbers=range(1)))["node_executions"][0]
    assert len(alone["output_data"]["item"]) == 2
    assert (alone["omitted"], alone["input_data"]) == (["item"], {"items": [1]})


async def test_pages_are_complete_and_say_nothing_twice(
    repository: Repository, large_run: str
) -> None:
    whole = await in_pages(Views(RunRepository(repository)), large_run, None, 7)
    assert [text[:3] for text in whole["outputs"]["y"]] == [f"{n:03}" for n in range(VALUES)]
    given = [one["input_data"]["value"][:3] for one in whole["node_executions"][1:]]
    assert given == [f"{number:03}" for number in range(VALUES)]
    assert len({one["node_exec_id"] for one in whole["node_executions"]}) == VALUES + 1


async def test_an_end_is_told_with_as_many_outputs_as_one_message_has_room_for(
    repository: Repository, large_run: str
) -> None:
    views = Views(RunRepository(repository))
    end = Recorded(9, stream_of(large_run), 4, "ada", 0, RunCompleted(RunStats()))
    async with views.permit(Backlog(memory_limits.ANSWERS_BYTES_MAX).share("ada"), 0) as permit:
        show = partial(messages.completed, end)
        told = messages.encode(await details.look(views, permit, large_run, "ada", show))
    message = msgspec.json.decode(told)
    assert (len(message["result"]["y"]), message["next_outputs"]) == (2, 2)
    assert len(told) < 2 * ROOM


async def test_many_who_read_at_once_have_little_in_memory(
    repository: Repository, large_run: str
) -> None:
    views = Views(RunRepository(repository))

    async def size() -> int:
        show = partial(run_in_full, numbers=range(1, 5_000), outputs_after=0)
        async with views.permit(Backlog(memory_limits.ANSWERS_BYTES_MAX).share("ada"), 0) as permit:
            page = await details.look(views, permit, large_run, "ada", show)
            return len(msgspec.json.encode(page))

    tracemalloc.start()
    try:
        sizes = await asyncio.gather(*(size() for _ in range(64)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(ROOM < size < 2 * ROOM for size in sizes)
    # A turn may hold what it shows, once as it is stored and once as it is sent.
    assert peak < request_limits.RUNS_LOOKED_AT_ONCE * 3 * 2 * ROOM + 8 * 1024 * 1024


async def test_the_looks_of_one_user_delay_another_by_one_look(
    repository: Repository, large_run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "RUNS_LOOKED_AT_ONCE", 1)
    views = Views(RunRepository(repository))
    seen: list[str] = []

    async def see(user_id: str) -> None:
        show = partial(run_in_full, numbers=range(1, 5_000), outputs_after=0)
        async with views.permit(
            Backlog(memory_limits.ANSWERS_BYTES_MAX).share(user_id), 0
        ) as permit:
            await permit.take()
            await details.look(views, permit, large_run, "ada", show)
            seen.append(user_id)

    await asyncio.gather(*(see(user_id) for user_id in [*["many"] * 8, "single"]))
    assert seen.index("single") == 1
