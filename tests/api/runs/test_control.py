"""Runs are stopped, paused and resumed: one of them, or all of a graph."""

from __future__ import annotations

import asyncio

import pytest

from domain.limits import request_limits
from domain.runs import (
    NodeStarted,
    RunCompleted,
    RunCreated,
    RunPaused,
    RunResumed,
    RunStats,
    RunStopRequested,
    RunTerminated,
)
from runtime import ids
from tests.support.api import Caller, Platform, Saved, answered, eventually
from tests.support.graphs import Document, echo
from tests.support.log import whole_stream
from tests.support.written import CLAIM, WrittenRun, begun

ENDED = RunCompleted(RunStats(steps=2))


@pytest.fixture
async def saved(author: Caller) -> Saved:
    return await author.save(echo())


async def kinds(still: Platform, run: WrittenRun) -> list[type]:
    """What has happened in the run, in order."""
    return [type(entry.event) for entry in await whole_stream(still.log, run.stream)]


async def listed(author: Caller, run: WrittenRun) -> Document:
    runs: list[Document] = await author.read("/api/v1/executions")
    return next(one for one in runs if one["id"] == run.run_id)


# --- stopping ----------------------------------------------------------------------------------
async def test_a_run_that_nobody_has_ends_at_once(
    still: Platform, author: Caller, saved: Saved
) -> None:
    run = await begun(still.log, author, saved)
    response = await author.post(f"{run.path}/stop")
    meta = answered(response)
    assert (meta["id"], meta["status"]) == (run.run_id, "TERMINATED")
    assert meta["ended_at"] is not None
    assert int(response.headers["evergraph-position"]) == await still.head()
    assert (await listed(author, run))["status"] == "TERMINATED"


async def test_a_stop_is_answered_when_the_worker_has_ended_the_run(
    still: Platform, author: Caller, saved: Saved
) -> None:
    run = await begun(still.log, author, saved)
    await run.append(CLAIM, NodeStarted(0, run.node("x")))

    async def is_asked() -> bool:
        return RunStopRequested in await kinds(still, run)

    stopping = asyncio.create_task(author.post(f"{run.path}/stop"))
    await eventually(is_asked)
    await run.append(RunTerminated(RunStats()))
    response = await stopping
    assert answered(response)["status"] == "TERMINATED"
    assert int(response.headers["evergraph-position"]) == await still.head()
    assert (await listed(author, run))["status"] == "TERMINATED"


async def test_a_run_that_ended_otherwise_meanwhile_says_so(
    still: Platform, author: Caller, saved: Saved
) -> None:
    run = await begun(still.log, author, saved, {"x": 1})
    await run.append(CLAIM, run.completed(0, "x", ("result", 1)), run.completed(1, "y"))
    stopping = asyncio.create_task(author.post(f"{run.path}/stop"))

    async def is_asked() -> bool:
        return RunStopRequested in await kinds(still, run)

    await eventually(is_asked)
    await run.append(ENDED)
    meta = answered(await stopping)
    assert (meta["status"], meta["outcome"]) == ("COMPLETED", "completed")


async def test_a_stop_is_not_waited_for_for_ever(
    still: Platform, author: Caller, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_limits, "STOP_ANSWER_SECONDS_MAX", 0.05)
    run = await begun(still.log, author, saved)
    await run.append(CLAIM)
    for _ in range(2):
        assert answered(await author.post(f"{run.path}/stop"))["status"] == "RUNNING"
    assert (await kinds(still, run)).count(RunStopRequested) == 1


async def test_a_run_that_has_ended_stays_as_it_is(
    still: Platform, author: Caller, saved: Saved
) -> None:
    run = await begun(still.log, author, saved)
    await run.append(CLAIM, ENDED)
    head = await still.head()
    assert answered(await author.post(f"{run.path}/stop"))["status"] == "COMPLETED"
    assert await still.head() == head


# --- pausing -----------------------------------------------------------------------------------
async def test_a_run_is_paused_until_it_is_resumed(
    still: Platform, author: Caller, saved: Saved
) -> None:
    run = await begun(still.log, author, saved)
    for command, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        meta = answered(await author.post(f"{run.path}/{command}"))
        assert (meta["id"], meta["status"], meta["paused"]) == (run.run_id, "QUEUED", paused)
        assert (await run.shown())["paused"] is paused
        assert (await listed(author, run))["paused"] is paused
    assert (await kinds(still, run))[1:] == [RunPaused, RunResumed]


@pytest.mark.parametrize("command", ["pause", "resume"])
async def test_what_has_ended_cannot_be_paused(
    still: Platform, author: Caller, saved: Saved, command: str
) -> None:
    run = await begun(still.log, author, saved)
    await run.append(CLAIM, ENDED)
    refused = answered(await author.post(f"{run.path}/{command}"), 409)
    assert refused["message"] == "the run has ended: it is COMPLETED"


@pytest.mark.parametrize("command", ["stop", "pause", "resume"])
async def test_a_run_belongs_to_its_graph(
    still: Platform, author: Caller, saved: Saved, command: str
) -> None:
    run = await begun(still.log, author, saved)
    other = await author.save(echo())
    head = await still.head()
    refused = answered(await author.post(f"{other.run_path(run.run_id)}/{command}"), 404)
    assert refused["message"] == f"Execution {run.run_id} not found"
    assert await still.head() == head


@pytest.mark.parametrize("command", ["stop", "pause"])
async def test_a_command_under_a_key_happens_once(
    still: Platform, author: Caller, saved: Saved, command: str
) -> None:
    run = await begun(still.log, author, saved)
    key = ids.new_id().hex
    first = await author.post(f"{run.path}/{command}", Idempotency_Key=key)
    again = await author.post(f"{run.path}/{command}", Idempotency_Key=key)
    assert answered(again) == answered(first)
    assert again.headers["evergraph-position"] == first.headers["evergraph-position"]
    assert len(await kinds(still, run)) == 2


# --- all runs of a graph -----------------------------------------------------------------------
@pytest.mark.parametrize("at_once", [2, 100])
async def test_all_unfinished_runs_of_a_graph_are_paused_and_resumed(
    still: Platform,
    author: Caller,
    saved: Saved,
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    monkeypatch.setattr(request_limits, "RUNS_CONTROLLED_AT_ONCE", at_once)
    runs = [await begun(still.log, author, saved) for _ in range(5)]
    ended, elsewhere = runs.pop(), await begun(still.log, author, await author.save(echo()))
    await runs[0].append(CLAIM)
    await ended.append(CLAIM, ENDED)
    answered(await author.post(f"{runs[1].path}/pause"))
    for command, paused in (("pause", True), ("pause", True), ("resume", False)):
        response = await author.post(f"{saved.path}/executions/{command}")
        assert answered(response) == {"count": 4}
        for run in runs:
            assert (await run.shown())["paused"] is paused
            assert (await listed(author, run))["paused"] is paused
        for run in (ended, elsewhere):
            assert (await run.shown())["paused"] is False


async def test_a_graph_without_runs_has_none_to_pause(author: Caller, saved: Saved) -> None:
    for command in ("pause", "resume"):
        response = await author.post(f"{saved.path}/executions/{command}")
        assert answered(response) == {"count": 0}
        assert "evergraph-position" not in response.headers
        unknown = await author.post(f"/api/v1/graphs/{ids.new_id()}/executions/{command}")
        answered(unknown, 404)


async def test_a_key_does_no_harm_where_many_runs_are_meant(
    still: Platform, author: Caller, saved: Saved
) -> None:
    runs = [await begun(still.log, author, saved) for _ in range(3)]
    key = ids.new_id().hex
    for _ in range(2):
        paused = await author.post(f"{saved.path}/executions/pause", Idempotency_Key=key)
        assert answered(paused) == {"count": 3}
    assert [await kinds(still, run) for run in runs] == [[RunCreated, RunPaused]] * 3
