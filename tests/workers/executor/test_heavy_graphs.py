"""Graphs that find no room in memory: runs give back what they have, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest

from blocks.data import StoreValue
from blocks.waiting import Wait
from commands.runs import control
from domain.events import Event
from domain.json_values import weight
from domain.limits import memory_limits
from domain.runs import RunCompleted, RunEnd, RunSuspended, RunTerminated, stream_of
from runtime import clock, memory
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Repository
from runtime.embedded.nats import NatsServer
from runtime.eventlog.log import EventLog
from runtime.nats import WakeUp
from runtime.settings import Settings
from tests.commands.runs.driving import agent, saved, start
from tests.support.graphs import Document, graph, node
from workers.executor.executor import Executor
from workers.executor.wake_ups import ReceivedWakeUp

SECONDS_MAX = 60.0
RING_SECONDS = 0.02
BALLAST: list[list[object]] = [[]] * 20_000
"""Heavy enough to have to find room."""
ALONE = node("alone", StoreValue, input=1)
USERS = ("ada", "bob", "cyd")


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """For three of these graphs, and for two of one user."""
    one = weight(b'{"input": [' + b",".join([b"[]"] * len(BALLAST)) + b"]}")
    assert one > memory_limits.PLAN_LIGHT_BYTES
    monkeypatch.setattr(memory_limits, "PLANS_HEAVY_BYTES_MAX", 7 * one // 2)
    monkeypatch.setattr(memory_limits, "PLANS_HEAVY_BYTES_PER_USER", 5 * one // 2)
    monkeypatch.setattr(memory_limits, "ROOM_SECONDS_MAX", 0.2)
    monkeypatch.setattr(memory_limits, "ROOM_COLLECT_SECONDS", 0.1)
    monkeypatch.setattr(memory_limits, "ROOM_AGAIN_SECONDS", 0.3)


@pytest.fixture
async def executor(database_url: str, nats_server: NatsServer) -> AsyncIterator[Executor]:
    one = Executor(Settings(database_url=database_url, nats_url=nats_server.url))
    # As in a process of its own: what others have left here is not looked at again and again.
    with memory.settled():
        serving = asyncio.create_task(one.serve())
        yield one
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


class WakeUpPublisher:
    """Wakes up all runs that want a worker, as a dispatcher does."""

    def __init__(self, event_log: EventLog, executor: Executor) -> None:
        self._log = event_log
        self._executor = executor

    async def until_ended(self, run_ids: Sequence[str]) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            while not await self._have_ended(run_ids):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(RING_SECONDS)

    async def _have_ended(self, run_ids: Sequence[str]) -> bool:
        async with self._log.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT DISTINCT originator_id FROM log.stored_events"
                " WHERE originator_id LIKE 'run-%%'"
            )
            streams = [stream for (stream,) in await cursor.fetchall()]
        last, _ = await self._log.read_last(streams)
        ends = [entry.position for entry in last.values() if isinstance(entry.event, RunEnd)]
        for stream, entry in last.items():
            # Again and again: a run that finds no room is to be woken up once more.
            has_changed = max(ends, default=0) > entry.position
            if _wants_a_worker(entry.event, has_changed=has_changed):
                await self._executor._take(ReceivedWakeUp(WakeUp(stream.removeprefix("run-"))))
        return all(isinstance(last[stream_of(one)].event, RunEnd) for one in run_ids)


def _wants_a_worker(last: Event, *, has_changed: bool) -> bool:
    """`has_changed`: another run has ended since, which may be a child of this one."""
    if isinstance(last, RunSuspended):
        return has_changed if last.until is None else last.until <= clock.now()
    return not isinstance(last, RunEnd)


@pytest.fixture
def publisher(event_log: EventLog, executor: Executor) -> WakeUpPublisher:
    return WakeUpPublisher(event_log, executor)


def heavy(*nodes: Document, links: str = "") -> Document:
    document = graph(*nodes, links=links)
    document["nodes"][0]["metadata"] = {"ballast": BALLAST}
    return document


async def parent_of(repository: Repository, user: str) -> str:
    """A run of a heavy graph that waits a little for others, and then has a heavy sub-graph."""
    context = CommandContext(owner=user, actor=user)
    child = await saved(repository, heavy(ALONE), context=context)
    document = heavy(
        node("first", Wait, seconds=0.3, data=1),
        agent("second", child),
        links="first.output > second.x",
    )
    graph_id = await saved(repository, document, context=context)
    return (await start(repository, graph_id, context=context)).answer.run_id


async def ends(event_log: EventLog, run_ids: Sequence[str]) -> list[type]:
    last, _ = await event_log.read_last([stream_of(run_id) for run_id in run_ids])
    return [type(last[stream_of(run_id)].event) for run_id in run_ids]


@pytest.mark.parametrize("users", [USERS, ("ada", "ada", "ada")])
async def test_runs_that_fill_the_room_and_want_more_do_not_wait_for_each_other(
    event_log: EventLog, repository: Repository, publisher: WakeUpPublisher, users: Sequence[str]
) -> None:
    runs = [await parent_of(repository, user) for user in users]
    await publisher.until_ended(runs)
    assert await ends(event_log, runs) == [RunCompleted] * len(runs)


async def test_a_run_without_room_can_be_stopped(
    event_log: EventLog, repository: Repository, publisher: WakeUpPublisher, executor: Executor
) -> None:
    plans = executor._dependencies.runs.plans
    kept = []
    for user in ("eve", "eva"):
        graph_id = await saved(
            repository, heavy(ALONE), context=CommandContext(owner=user, actor=user)
        )
        kept.append(await plans.load(graph_id, 1))
    run_id = await parent_of(repository, "ada")
    publishing = asyncio.create_task(publisher.until_ended([run_id]))
    async with asyncio.timeout(SECONDS_MAX):
        while not await has_rested_for_room(event_log, run_id):  # noqa: ASYNC110
            await asyncio.sleep(RING_SECONDS)
    await control.stop(repository, CommandContext(owner="ada", actor="ada"), run_id)
    await publishing
    assert await ends(event_log, [run_id]) == [RunTerminated]
    del kept


async def has_rested_for_room(event_log: EventLog, run_id: str) -> bool:
    last, _ = await event_log.read_last([stream_of(run_id)])
    event = last[stream_of(run_id)].event
    return isinstance(event, RunSuspended) and event.until is not None and event.stats.steps > 1


async def test_a_run_that_cannot_be_loaded_for_want_of_room_gives_its_place_back(
    repository: Repository, executor: Executor
) -> None:
    plans = executor._dependencies.runs.plans
    kept = []
    for user in USERS:
        graph_id = await saved(
            repository, heavy(ALONE), context=CommandContext(owner=user, actor=user)
        )
        kept.append(await plans.load(graph_id, 1))
    run_id = await parent_of(repository, "eve")
    await executor._take(ReceivedWakeUp(WakeUp(run_id)))
    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.wait([executor._driving[run_id]])
    assert not executor._driving
    del kept


async def test_runs_that_rest_make_room(
    event_log: EventLog, repository: Repository, publisher: WakeUpPublisher
) -> None:
    """An executor remembers them, and their graphs: no longer than nobody needs the room."""
    waiting = heavy(node("wait", Wait, seconds=3600))
    for user in USERS:
        context = CommandContext(owner=user, actor=user)
        graph_id = await saved(repository, waiting, context=context)
        await start(repository, graph_id, context=context)
    context = CommandContext(owner="eve", actor="eve")
    graph_id = await saved(repository, heavy(ALONE), context=context)
    late = (await start(repository, graph_id, context=context)).answer.run_id
    await publisher.until_ended([late])
    assert await ends(event_log, [late]) == [RunCompleted]
