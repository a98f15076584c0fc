"""Stopping, pausing and resuming runs, as they stand: queued, in hand, at rest, ended."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from blocks.logic import StepThroughItems
from blocks.reviews import HumanInTheLoop
from blocks.web import SendWebRequest
from commands.runs import control
from domain.credits import ACCOUNT, Account, HoldReleased, HoldSettled
from domain.errors import Conflict, NotFound
from domain.events import Event
from domain.limits import run_limits
from domain.runs import (
    NodeStarted,
    RunClaimed,
    RunPaused,
    RunResumed,
    RunStats,
    RunStatus,
    RunStopRequested,
    RunTerminated,
    stream_of,
)
from runtime.aggregates.command_context import CommandContext, Idempotency
from runtime.aggregates.repository import Repository
from runtime.eventlog.errors import VersionConflict
from runtime.eventlog.log import Origin, StreamWrite, opened
from runtime.eventlog.mapper import Encoded
from tests.commands.runs.driving import ADA, EVE, Worker, agent, created, events_of, saved, start
from tests.support.graphs import Document, agent_output, echo, graph, items, node
from tests.support.log import whole_stream

PAID = graph(
    items("url", "http://localhost/"),
    node("web", SendWebRequest),
    agent_output("y"),
    links="""
        url.item > web.url
        web.response > y.value
    """,
)


def asking(data: object = "text") -> Document:
    return graph(
        node("ask", HumanInTheLoop, name="Letter", data=data),
        agent_output("y"),
        links="ask.approved_data > y.value",
    )


async def begun(repository: Repository, document: Document) -> Worker:
    """A run that was just accepted."""
    done = await start(repository, await saved(repository, document))
    return await Worker.of(repository, done.answer.run_id)


async def account(repository: Repository) -> Account:
    return (await repository.load(ACCOUNT, "ada")).state


# --- stop ----------------------------------------------------------------------------------------
async def test_a_queued_run_ends_at_once_and_gives_its_credits_back(repository: Repository) -> None:
    worker = await begun(repository, PAID)
    assert (await account(repository)).held == 1
    done = await control.stop(repository, ADA, worker.run_id)
    assert done.answer.status is RunStatus.TERMINATED
    assert (await events_of(repository, worker.run_id))[1:] == [RunTerminated(RunStats())]
    end = (await whole_stream(repository.log, f"run-{worker.run_id}"))[-1]
    settled = (await whole_stream(repository.log, "credits-ada"))[-1]
    assert settled.event == HoldReleased(worker.run_id, held=1)
    assert settled.recorded_at == end.recorded_at
    assert done.position == settled.position
    assert (await account(repository)).available == 10


async def test_a_suspended_run_pays_for_what_was_done(repository: Repository) -> None:
    worker = await begun(repository, PAID)
    await worker.claims()
    await worker.completes(StepThroughItems, ("item", "http://localhost/"))
    await worker.completes(SendWebRequest, ("response", "ok"))
    await worker.suspended()
    await control.stop(repository, ADA, worker.run_id)
    last = (await whole_stream(repository.log, "credits-ada"))[-1].event
    assert last == HoldSettled(worker.run_id, held=1, spent=1)
    end = (await events_of(repository, worker.run_id))[-1]
    assert end == RunTerminated(RunStats(steps=3, cost=1, nodes_us=2))


async def test_a_run_that_waits_for_a_person_ends_at_once(repository: Repository) -> None:
    worker = await begun(repository, asking())
    await worker.claims()
    await worker.asks(HumanInTheLoop)
    await worker.suspended()
    done = await control.stop(repository, ADA, worker.run_id)
    assert done.answer.status is RunStatus.TERMINATED


async def test_a_run_in_hand_is_asked_once_and_keeps_its_credits(repository: Repository) -> None:
    worker = await begun(repository, PAID)
    await worker.claims()
    for _ in range(2):
        done = await control.stop(repository, ADA, worker.run_id)
        assert done.answer == control.RunControlled(worker.run_id, RunStatus.RUNNING)
    assert (await events_of(repository, worker.run_id))[1:] == [
        RunClaimed("test"),
        RunStopRequested(),
    ]
    assert (await account(repository)).held == 1


async def test_a_run_that_has_ended_stays_as_it_is(repository: Repository) -> None:
    worker = await begun(repository, echo())
    await worker.claims()
    await worker.ends()
    head = await repository.log.read_head()
    done = await control.stop(repository, ADA, worker.run_id)
    assert (done.answer.status, done.position) == (RunStatus.COMPLETED, None)
    assert await repository.log.read_head() == head


async def test_a_stop_under_a_key_happens_once(repository: Repository) -> None:
    worker = await begun(repository, echo())
    keyed = msgspec.structs.replace(ADA, idempotency=Idempotency("key", b"request"))
    first = await control.stop(repository, keyed, worker.run_id)
    assert await control.stop(repository, keyed, worker.run_id) == first


async def test_a_stop_gets_through_to_a_run_that_never_rests(
    repository: Repository, database_url: str
) -> None:
    """The worker's process appends as fast as it can, one effect after the other."""
    worker = await begun(repository, PAID)
    await worker.claims()
    node_id = worker.at_hand(StepThroughItems).node.node.node_id
    attempts = 0
    is_busy = asyncio.Event()

    async def work() -> None:
        nonlocal attempts
        while True:
            attempts += 1
            await worker.append(NodeStarted(0, node_id, attempt=attempts))
            is_busy.set()

    async with opened(database_url, "worker") as log:
        worker.repository = Repository(log)
        working = asyncio.create_task(work())
        await is_busy.wait()
        done = await control.stop(repository, ADA, worker.run_id)
        with pytest.raises(VersionConflict):
            await working
    assert done.answer.status is RunStatus.RUNNING
    happened = await events_of(repository, worker.run_id)
    assert happened[-1] == RunStopRequested()
    assert len(happened) == 2 + attempts


# --- the runs below it ---------------------------------------------------------------------------
async def family(repository: Repository) -> tuple[Worker, Worker, Worker]:
    """A run, its child and its grandchild. Each has a request of its own to pay for."""
    leaf = await saved(repository, PAID)
    middle = await saved(repository, above(leaf))
    top = await saved(repository, above(middle))
    parent = await Worker.of(repository, (await start(repository, top)).answer.run_id)
    await parent.claims()
    child = await parent.becomes_a_parent()
    await child.claims()
    return parent, child, await child.becomes_a_parent()


def above(graph_id: str) -> Document:
    """A graph with a request, and with another graph as its part."""
    return graph(
        *PAID["nodes"],
        agent("part", graph_id),
        agent_output("z"),
        links="""
            url.item > web.url
            web.response > y.value
            part.y > z.value
        """,
    )


async def test_a_stop_reaches_the_runs_below(repository: Repository) -> None:
    parent, child, grandchild = await family(repository)
    await parent.suspended()
    done = await control.stop(repository, ADA, parent.run_id)
    assert done.answer.status is RunStatus.TERMINATED
    assert (await events_of(repository, child.run_id))[-1] == RunStopRequested()
    end = (await events_of(repository, grandchild.run_id))[-1]
    first = await created(repository, grandchild.run_id)
    assert first.tree is not None
    # Nobody has used anything of what it was given.
    assert end == RunTerminated(RunStats(left=first.tree.allotment), parent=child.run_id)
    assert set((await account(repository)).holds) == {child.run_id}


async def test_a_stop_again_reaches_what_the_first_one_missed(repository: Repository) -> None:
    parent, child, _ = await family(repository)
    await parent.append(RunTerminated(parent.run.stats))
    done = await control.stop(repository, ADA, parent.run_id)
    assert (done.answer.status, done.position) == (RunStatus.TERMINATED, None)
    assert (await events_of(repository, child.run_id))[-1] == RunStopRequested()


async def test_a_child_that_has_ended_stays_as_it_is(repository: Repository) -> None:
    parent, child, grandchild = await family(repository)
    await grandchild.claims()
    await grandchild.ends()
    await child.append(RunTerminated(child.run.stats, parent=parent.run_id))
    before = (
        await events_of(repository, child.run_id),
        await events_of(repository, grandchild.run_id),
    )
    await control.stop(repository, ADA, parent.run_id)
    after = (
        await events_of(repository, child.run_id),
        await events_of(repository, grandchild.run_id),
    )
    assert after == before


async def test_a_parent_does_not_pay_for_its_children(repository: Repository) -> None:
    """Each has a hold of its own; what the child cost is in the parent's totals all the same."""
    leaf = await saved(repository, PAID)
    top = await saved(repository, above(leaf))
    parent = await Worker.of(repository, (await start(repository, top)).answer.run_id)
    await parent.claims()
    child = await parent.becomes_a_parent()
    await child.claims()
    for worker in (child, parent):
        await worker.completes(StepThroughItems, ("item", "http://localhost/"))
        await worker.completes(SendWebRequest, ("response", "ok"))
    await child.suspended()
    await control.stop(repository, ADA, child.run_id)
    await parent.sees_the_end_of(child)
    await parent.suspended()
    await control.stop(repository, ADA, parent.run_id)
    end = (await events_of(repository, parent.run_id))[-1]
    assert isinstance(end, RunTerminated)
    assert end.stats.cost == 2
    entries = await whole_stream(repository.log, "credits-ada")
    assert [entry.event for entry in entries[-2:]] == [
        HoldSettled(child.run_id, held=1, spent=1),
        HoldSettled(parent.run_id, held=1, spent=1),
    ]
    assert await account(repository) == Account(granted=20, spent=2)


async def test_many_children_are_stopped(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_limits, "RUNS_STOPPED_AT_ONCE", 4)
    leaf = await saved(repository, PAID, credit=20)
    agents = [agent(str(number), leaf) for number in range(10)]
    outputs = [agent_output(f"y{number}") for number in range(10)]
    links = "\n".join(f"{number}.y > y{number}.value" for number in range(10))
    top = await saved(repository, graph(*agents, *outputs, links=links))
    parent = await Worker.of(repository, (await start(repository, top)).answer.run_id)
    await parent.claims()
    below = [await parent.becomes_a_parent() for _ in range(10)]
    await control.stop(repository, ADA, parent.run_id)
    for child in below:
        assert isinstance((await events_of(repository, child.run_id))[-1], RunTerminated)
    assert await account(repository) == Account(granted=30)


async def test_an_orphan_is_stopped_on_behalf_of_its_user(repository: Repository) -> None:
    _, child, grandchild = await family(repository)
    done = await control.stop_orphan(repository, grandchild.run_id)
    assert done.answer.status is RunStatus.TERMINATED
    async with repository.log.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT owner, actor FROM log.stored_events WHERE notification_id = %s",
            (await repository.log.read_head(),),
        )
        assert await cursor.fetchone() == ("ada", "worker:sweeper")
    assert (await events_of(repository, child.run_id))[-1] != RunStopRequested()
    with pytest.raises(NotFound):
        await control.stop_orphan(repository, "018f3c2e-7d10-7a3b-9c55-0b6e2f4d8a01")


# --- runs that cannot be read ---------------------------------------------------------------------
NEWER = Encoded("runs.NodeCompleted@99", b"{}")


async def is_held_by_nobody(_: str) -> bool:
    return False


async def spoil(worker: Worker) -> None:
    """Let a newer program write to the run."""
    run = worker.run
    write = StreamWrite(stream_of(run.run_id), run.version, [NEWER])
    await worker.repository.log.append([write], Origin("ada", "worker:newer"))


async def test_one_that_shall_stop_is_not_parked_but_ends(repository: Repository) -> None:
    worker = await begun(repository, PAID)
    await worker.claims()
    await control.pause(repository, ADA, worker.run_id)
    await control.stop(repository, ADA, worker.run_id)
    await spoil(await Worker.of(repository, worker.run_id))
    await control.park(repository, "other", worker.run_id, "unreadable", is_held_by_nobody)
    assert isinstance(await last_of(repository, worker.run_id), RunTerminated)
    assert (await account(repository)).available == 10
    head = await repository.log.read_head()
    await control.park(repository, "other", worker.run_id, "unreadable", is_held_by_nobody)
    assert await repository.log.read_head() == head


async def test_a_parent_is_stopped_although_nobody_can_say_what_it_cost(
    repository: Repository,
) -> None:
    leaf = await saved(repository, PAID)
    top = await saved(repository, above(leaf))
    parent = await Worker.of(repository, (await start(repository, top)).answer.run_id)
    await parent.claims()
    child = await parent.becomes_a_parent()
    await parent.completes(StepThroughItems, ("item", "http://localhost/"))
    await parent.completes(SendWebRequest, ("response", "ok"))
    await parent.suspended()
    await spoil(parent)
    done = await control.stop(repository, ADA, parent.run_id)
    assert done.answer.status is RunStatus.TERMINATED
    ends = [(await last_of(repository, run.run_id)) for run in (parent, child)]
    assert [type(end) for end in ends] == [RunTerminated, RunTerminated]
    assert (await account(repository)).held == 0


async def last_of(repository: Repository, run_id: str) -> Event:
    last, _ = await repository.log.read_last([stream_of(run_id)])
    return last[stream_of(run_id)].event


# --- pause and resume ----------------------------------------------------------------------------
async def test_a_run_is_paused_and_resumed(repository: Repository) -> None:
    worker = await begun(repository, echo())
    for command in (control.pause, control.pause, control.resume, control.resume):
        done = await command(repository, ADA, worker.run_id)
        assert done.answer.status is RunStatus.QUEUED
    assert (await events_of(repository, worker.run_id))[1:] == [RunPaused(), RunResumed()]


async def test_what_has_ended_is_not_paused(repository: Repository) -> None:
    worker = await begun(repository, echo())
    await control.stop(repository, ADA, worker.run_id)
    for command in (control.pause, control.resume):
        with pytest.raises(Conflict, match="the run has ended: it is TERMINATED"):
            await command(repository, ADA, worker.run_id)


# --- whose it is ---------------------------------------------------------------------------------
@pytest.mark.parametrize("command", [control.stop, control.pause, control.resume])
async def test_a_run_is_its_owners_and_its_graphs(repository: Repository, command: Any) -> None:
    worker = await begun(repository, echo())
    assert worker.run.created is not None
    head = await repository.log.read_head()
    unknown = "018f3c2e-7d10-7a3b-9c55-0b6e2f4d8a01"
    for context, run_id, graph_id in (
        (EVE, worker.run_id, None),
        (ADA, worker.run_id, unknown),
        (ADA, unknown, None),
        (ADA, "no id at all\x00", None),
    ):
        with pytest.raises(NotFound, match=f"Execution {run_id} not found"):
            await command(repository, context, run_id, graph_id=graph_id)
    assert await repository.log.read_head() == head
    await command(repository, ADA, worker.run_id, graph_id=worker.run.created.graph_id)


async def test_everything_is_found_under_the_runs_id(repository: Repository) -> None:
    worker = await begun(repository, PAID)
    await control.stop(repository, CommandContext("ada", "ada"), worker.run_id)
    async with repository.log.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM log.stored_events WHERE correlation = %s", (worker.run_id,)
        )
        assert await cursor.fetchone() == (4,)
