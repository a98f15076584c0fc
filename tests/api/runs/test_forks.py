"""Runs that begin where others stood: what they take over, and where that is refused."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.logic import Calculator
from domain.limits import request_limits, value_limits
from domain.runs import NodeFailed, RunCompleted, RunStats, RunTerminated
from runtime import ids
from runtime.fair_queue import FairQueue
from tests.support.api import Caller, Platform, answered
from tests.support.graphs import Document, agent_input, agent_output, graph, node
from tests.support.written import CLAIM, WrittenRun, begun

DOUBLED = graph(
    agent_input("x"),
    node("twice", Calculator, operation="Multiply", b=2),
    agent_output("y"),
    links="""
        x.result > twice.a
        twice.result > y.value
    """,
)
STATS = RunStats(steps=3)


@pytest.fixture
async def doubled(still: Platform, author: Caller) -> WrittenRun:
    """A run of 3 that has ended: created, claimed, three nodes, completed."""
    run = await begun(still.log, author, await author.save(DOUBLED), {"x": 3})
    await run.append(
        CLAIM,
        run.completed(0, "x", ("result", 3)),
        run.completed(1, "twice", ("result", 6)),
        run.completed(2, "y", ("output", 6), ("name", "y")),
        RunCompleted(STATS),
    )
    return run


async def forked(author: Caller, source: WrittenRun, body: Document) -> Document:
    """The page of a new fork."""
    meta = answered(await author.post(f"{source.path}/fork", body))
    page: Document = await author.read(source.path.replace(source.run_id, meta["id"]))
    assert page["forked_from"] == meta["forked_from"]
    return page


def statuses(page: Document) -> list[str]:
    return [execution["status"] for execution in page["node_executions"]]


async def test_forks_and_retries_take_turns_with_looks(
    author: Caller, doubled: WrittenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    users: list[str] = []
    enter = FairQueue.enter

    async def seen(self: FairQueue, user_id: str) -> None:
        users.append(user_id)
        await enter(self, user_id)

    monkeypatch.setattr(FairQueue, "enter", seen)
    answered(await author.post(f"{doubled.path}/fork", {"version": 3}))
    assert users == [str(author.user_id)]
    answered(await author.post(f"{doubled.path}/retry"), 409)
    assert users == 2 * [str(author.user_id)]


async def test_a_fork_is_answered_like_a_start(author: Caller, doubled: WrittenRun) -> None:
    response = await author.post(f"{doubled.path}/fork", {"version": 3})
    meta = answered(response)
    started = answered(await author.post(doubled.path.split("/executions")[0] + "/execute"))
    assert meta.keys() == started.keys() | {"forked_from"}
    assert meta["id"] == meta["execution_id"] != doubled.run_id
    assert (meta["status"], meta["inputs"]) == ("QUEUED", {"x": 3})
    assert meta["forked_from"] == {"execution_id": doubled.run_id, "version": 3}
    assert int(response.headers["evergraph-position"]) > 0


async def test_a_fork_takes_over_what_happened_up_to_a_version(
    author: Caller, doubled: WrittenRun
) -> None:
    page = await forked(author, doubled, {"version": 4})
    assert (page["version"], page["status"], page["stats"]["cost"]) == (1, "QUEUED", 0)
    assert statuses(page) == ["COMPLETED", "COMPLETED", "QUEUED"]
    assert page["node_executions"][2]["input_data"]["value"] == 6
    assert page["outputs"] == {"y": [6]}
    for number, execution in enumerate(page["node_executions"]):
        assert execution["node_exec_id"] != doubled.execution_id(number)


async def test_a_fork_begins_before_a_node_execution_with_other_inputs(
    author: Caller, doubled: WrittenRun
) -> None:
    body = {"node_exec_id": doubled.execution_id(1), "inputs": {"b": 5}}
    page = await forked(author, doubled, body)
    assert statuses(page) == ["COMPLETED", "QUEUED"]
    assert page["node_executions"][1]["input_data"]["b"] == 5
    assert page["forked_from"] == {"execution_id": doubled.run_id, "version": 3}


async def test_a_fork_at_the_beginning_has_other_inputs(
    author: Caller, doubled: WrittenRun
) -> None:
    page = await forked(author, doubled, {"version": 1, "inputs": {"x": 4}})
    assert page["inputs"] == {"x": 4}
    assert page["node_executions"][0]["input_data"]["value"] == 4


async def test_a_fork_of_a_fork_names_its_own_source(author: Caller, doubled: WrittenRun) -> None:
    first = await forked(author, doubled, {"version": 4})
    path = doubled.path.replace(doubled.run_id, first["id"])
    second = answered(await author.post(f"{path}/fork", {"version": 1}))
    assert second["forked_from"] == {"execution_id": first["id"], "version": 1}


async def test_a_retry_runs_again_what_failed(still: Platform, author: Caller) -> None:
    source = await begun(still.log, author, await author.save(DOUBLED), {"x": 3})
    await source.append(
        CLAIM,
        source.completed(0, "x", ("result", 3)),
        NodeFailed(1, source.node("twice"), "no", elapsed_us=5),
        RunCompleted(RunStats(steps=2, errors=1)),
    )
    meta = answered(await author.post(f"{source.path}/retry"))
    assert meta["forked_from"] == {"execution_id": source.run_id, "version": 4}
    page = await author.read(source.path.replace(source.run_id, meta["id"]))
    assert statuses(page) == ["COMPLETED", "QUEUED"]
    assert (page["stats"]["node_error_count"], page["outcome"]) == (0, None)
    assert (await source.shown())["outcome"] == "completed_with_errors"


async def test_a_run_without_failures_is_not_retried(
    still: Platform, author: Caller, doubled: WrittenRun
) -> None:
    head = await still.head()
    refused = answered(await author.post(f"{doubled.path}/retry"), 409)
    assert "nothing to retry" in refused["message"]
    open_run = await begun(still.log, author, await author.save(DOUBLED))
    head = await still.head()
    refused = answered(await author.post(f"{open_run.path}/retry"), 409)
    assert "has not ended" in refused["message"]
    assert await still.head() == head


async def test_a_stopped_run_goes_on_where_it_was(still: Platform, author: Caller) -> None:
    source = await begun(still.log, author, await author.save(DOUBLED), {"x": 3})
    await source.append(CLAIM, source.completed(0, "x", ("result", 3)), RunTerminated(RunStats()))
    meta = answered(await author.post(f"{source.path}/retry"))
    page = await author.read(source.path.replace(source.run_id, meta["id"]))
    assert statuses(page) == ["COMPLETED", "QUEUED"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"inputs": {"x": 1}}, 400),
        ({"version": 0}, 400),
        ({"version": -1}, 400),
        ({"version": 7}, 400),
        ({"version": value_limits.JSON_INTEGER_MAX}, 400),
        ({"version": "three"}, 400),
        ({"version": 3, "inputs": {"x": 1}}, 400),
        ({"version": 3, "inputs": {"x": "\x00"}}, 400),
        ({"version": 3, "inputs": []}, 400),
        ({"node_exec_id": "none"}, 404),
        ({"node_exec_id": ""}, 404),
        ({"node_exec_id": 1}, 400),
    ],
)
async def test_an_impossible_fork_is_refused(
    still: Platform, author: Caller, doubled: WrittenRun, body: Any, status: int
) -> None:
    head = await still.head()
    refused = answered(await author.post(f"{doubled.path}/fork", body), status)
    assert refused["message"]
    assert await still.head() == head


async def test_a_place_is_a_version_or_a_node_execution(
    author: Caller, doubled: WrittenRun
) -> None:
    both = {"version": 3, "node_exec_id": doubled.execution_id(1)}
    refused = answered(await author.post(f"{doubled.path}/fork", both), 400)
    assert "at one of them" in refused["message"]


async def test_what_is_not_in_the_graph_is_not_forked(author: Caller, doubled: WrittenRun) -> None:
    other = await author.save(DOUBLED)
    for run_id in (doubled.run_id, str(ids.new_id())):
        for command, body in (
            ("fork", {"version": 1}),
            ("fork", {"node_exec_id": doubled.execution_id(0)}),
            ("retry", None),
        ):
            refused = await author.post(f"{other.run_path(run_id)}/{command}", body)
            assert answered(refused, 404)["message"] == f"Execution {run_id} not found"


async def test_a_fork_under_a_key_happens_once(author: Caller, doubled: WrittenRun) -> None:
    key = ids.new_id().hex
    first, again = [
        answered(await author.post(f"{doubled.path}/fork", {"version": 3}, Idempotency_Key=key))
        for _ in range(2)
    ]
    assert again == first
    assert len(await author.read("/api/v1/executions")) == 2


async def test_more_inputs_than_a_request_carries_are_not_answered_to_a_fork(
    still: Platform, author: Caller
) -> None:
    some, more = ({name: "x" * (request_limits.REQUEST_BYTES_MAX * 2 // 3)} for name in ("a", "b"))
    saved = await author.save(graph(agent_input("a"), agent_input("b")))
    run = await begun(still.log, author, saved, some)
    again = answered(await author.post(f"{run.path}/fork", {"version": 1}))
    assert again["inputs"] == some
    forked = answered(await author.post(f"{run.path}/fork", {"version": 1, "inputs": more}))
    assert forked["inputs"] is None
    page = await author.read(saved.run_path(forked["id"]))
    assert page["inputs"] == {**some, **more}
