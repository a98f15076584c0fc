"""Runs over HTTP: how they start, what a run shows of itself, and the lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from blocks.data import AddToList
from blocks.web import SendWebRequest
from domain.limits import run_limits
from domain.runs import execution_id
from runtime import ids
from tests.support.api import Caller, Platform, answered, api, eventually
from tests.support.effects import effects
from tests.support.graphs import Document, agent_output, echo, graph, items, node

META = {
    *("id", "user_id", "graph_id", "graph_version", "inputs", "credential_inputs"),
    *("nodes_input_masks", "preset_id", "status", "started_at", "ended_at", "is_shared"),
    *("share_token", "is_dry_run", "stats", "outcome", "paused", "parent_execution_id"),
    "large_values",
}
PAGE = META | {
    *("version", "forked_from", "budget", "outputs", "node_executions", "next_after"),
    *("waiting", "waiting_count", "next_outputs", "omitted_inputs"),
    "omitted_outputs",
}
STATS = {
    *("cost", "duration", "duration_cpu_only", "node_exec_time", "node_exec_time_cpu_only"),
    *("node_exec_count", "node_error_count", "error", "activity_status", "correctness_score"),
}
NODE_EXECUTION = {
    *("user_id", "graph_id", "graph_version", "graph_exec_id", "node_exec_id", "node_id"),
    *("block_id", "status", "input_data", "output_data", "attempt", "repeated", "error"),
    *("waits_until", "child_execution_id", "review", "omitted"),
    *("add_time", "queue_time", "start_time", "end_time"),
}


# --- starting ----------------------------------------------------------------------------------
async def test_a_start_is_answered_when_the_run_is_in_the_log(user: Caller) -> None:
    graph = await user.save(echo())
    response = await user.post(
        f"/api/v1/graphs/{graph.graph_id}/execute/1", {"inputs": {"x": 5}, "source": "library"}
    )
    meta = answered(response)
    assert meta.keys() == META | {"execution_id"}
    assert meta["execution_id"] == meta["id"] == str(UUID(meta["id"]))
    assert (meta["status"], meta["graph_version"], meta["inputs"]) == ("QUEUED", 1, {"x": 5})
    assert (meta["user_id"], meta["graph_id"]) == (str(user.user_id), graph.graph_id)
    assert (meta["started_at"], meta["ended_at"], meta["stats"]) == (None, None, None)
    assert int(response.headers["evergraph-position"]) > 0
    assert (await user.ended(graph, meta["id"])).outputs == {"y": [5]}


@pytest.mark.parametrize("body", [None, b"", b"null", b"{}", {"inputs": {}, "unknown": 1}])
@pytest.mark.parametrize("version", ["", "/1"])
async def test_a_start_needs_no_body(user: Caller, body: Any, version: str) -> None:
    graph = await user.save(echo())
    path = f"/api/graphs/{graph.graph_id}/execute{version}"
    run = answered(await user.post(path, body))
    assert (await user.ended(graph, run["id"])).outputs == {}


async def test_any_version_can_be_started(user: Caller) -> None:
    document = graph(items("a", "first"), agent_output("y"), links="a.item > y.value")
    first = await user.save(document)
    path = f"/api/v1/graphs/{first.graph_id}"
    document["nodes"][0] = items("a", "second")
    answered(await user.put(path, document))
    for version, expected in (("/1", "first"), ("/2", "second"), ("", "second")):
        run = answered(await user.post(f"{path}/execute{version}"))
        assert run["graph_version"] == (1 if version == "/1" else 2)
        shown = await _ended(user, f"{path}/executions/{run['id']}")
        assert shown["outputs"] == {"y": [expected]}


async def test_what_does_not_exist_cannot_be_started(user: Caller, installation: Platform) -> None:
    graph = await user.save(echo())
    unknown = str(ids.new_id())
    head = await installation.at_rest()
    refused = await user.post(f"/api/v1/graphs/{unknown}/execute/1")
    assert answered(refused, 404)["message"] == f"Graph {unknown} not found"
    refused = await user.post(f"/api/v1/graphs/{graph.graph_id}/execute/2")
    assert answered(refused, 404)["message"] == f"Graph {graph.graph_id} has no version 2"
    assert await installation.at_rest() == head


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"dry_run": True}, "dry_run is not supported"),
        (
            {"credentials_inputs": {"key": {}}},
            "credentials_inputs is not supported: no block takes credentials",
        ),
        ({"source": "elsewhere"}, "source: Invalid enum value 'elsewhere'"),
        ({"inputs": []}, "inputs: Expected `object`, got `array`"),
        ({"inputs": {"x": "\x00"}}, "inputs must not contain the character U+0000"),
    ],
)
async def test_what_is_not_understood_is_refused(
    user: Caller, installation: Platform, body: Document, message: str
) -> None:
    graph = await user.save(echo())
    head = await installation.at_rest()
    refused = await user.post(f"/api/v1/graphs/{graph.graph_id}/execute/1", body)
    assert message in answered(refused, 400)["message"]
    assert await installation.at_rest() == head


@pytest.mark.parametrize(
    "document",
    [
        graph(),
        graph(node("a", AddToList), links="a.updated_list > a.list", allow_cycles=True),
    ],
    ids=["empty", "only a cycle"],
)
async def test_a_graph_that_cannot_begin_is_refused(user: Caller, document: Document) -> None:
    saved = await user.save(document)
    refused = await user.post(f"/api/v1/graphs/{saved.graph_id}/execute/1")
    message = "The graph has no node that can start"
    assert answered(refused, 400)["detail"]["message"] == message


# --- budgets -----------------------------------------------------------------------------------
@pytest.mark.parametrize("version", ["", "/1"])
async def test_a_run_has_the_budget_of_its_start(
    still: Platform, author: Caller, version: str
) -> None:
    saved = await author.save(echo())
    path = saved.path
    whole: Document = {"steps": run_limits.RUN_STEPS_MAX, "seconds": None, "credits": None}
    for given in ({}, {"steps": 7}, {"seconds": 1.5}, {"credits": 0}, {"steps": None}):
        started = answered(await author.post(f"{path}/execute{version}", {"budget": given}))
        page = await author.read(f"{path}/executions/{started['id']}")
        assert page["budget"] == whole | {k: v for k, v in given.items() if v is not None}


@pytest.mark.parametrize(
    "budget",
    [
        {"steps": 0},
        {"steps": run_limits.RUN_STEPS_MAX + 1},
        {"steps": 1.5},
        {"seconds": 0},
        {"seconds": -1},
        {"seconds": "soon"},
        {"credits": -1},
        [],
        None,
    ],
)
async def test_a_budget_has_bounds(still: Platform, author: Caller, budget: Any) -> None:
    saved = await author.save(echo())
    head = await still.head()
    refused = await author.post(f"{saved.path}/execute", {"budget": budget})
    assert "budget" in answered(refused, 400)["message"]
    assert await still.head() == head


# --- a run in full -----------------------------------------------------------------------------
async def test_a_run_shows_all_of_itself(user: Caller) -> None:
    outcome = await user.run(echo(), {"x": 5})
    run = outcome.run
    assert run.keys() == PAGE
    assert (run["outcome"], run["waiting"], run["next_after"]) == ("completed", [], None)
    assert run["stats"].keys() == STATS
    assert (run["stats"]["node_exec_count"], run["stats"]["node_error_count"]) == (2, 0)
    assert (run["stats"]["cost"], run["stats"]["error"]) == (0, None)
    assert run["stats"]["duration"] >= 0
    assert run["stats"]["node_exec_time"] > 0
    assert datetime.fromisoformat(run["started_at"]) <= datetime.fromisoformat(run["ended_at"])
    for number, execution in enumerate(run["node_executions"]):
        assert execution.keys() == NODE_EXECUTION
        assert execution["graph_exec_id"] == run["id"]
        assert execution["node_exec_id"] == execution_id(run["id"], number)
        assert execution["add_time"] <= execution["queue_time"] <= execution["end_time"]
        assert execution["start_time"] <= execution["end_time"]
    x, y = run["node_executions"]
    assert (x["input_data"], x["output_data"]) == ({"name": "x", "value": 5}, {"result": [5]})
    assert y["output_data"] == {"output": [5], "name": ["y"]}


async def test_a_run_at_work_shows_how_far_it_is(user: Caller) -> None:
    async with effects() as service:
        web = node("web", SendWebRequest, body={"number": 1})
        document = graph(
            items("url", service.url),
            web,
            agent_output("y"),
            links="""
                url.item > web.url
                web.response > y.value
            """,
        )
        saved = await user.save(document)
        with service.held():
            run_id = await user.start(saved)
            await service.asked(1)
            run = await user.read(f"/api/v1/graphs/{saved.graph_id}/executions/{run_id}")
            assert (run["status"], run["ended_at"], run["outputs"]) == ("RUNNING", None, {})
            url, web_execution = run["node_executions"]
            assert (url["status"], web_execution["status"]) == ("COMPLETED", "RUNNING")
            assert (web_execution["attempt"], web_execution["end_time"]) == (1, None)
            (listed,) = await user.read("/api/v1/executions")
            assert (listed["id"], listed["stats"]) == (run_id, None)
        outcome = await user.ended(saved, run_id)
    assert outcome.outputs == {"y": [{"number": 2}]}
    assert (outcome.run["stats"]["cost"], sum(service.seen.values())) == (1, 1)


# --- lists -------------------------------------------------------------------------------------
async def test_a_list_shows_each_run_at_once(user: Caller) -> None:
    graph = await user.save(echo())
    path = f"/api/v1/graphs/{graph.graph_id}/executions"
    started: list[str] = []
    for number in range(5):
        started.insert(0, await user.start(graph, {"x": number}))
        assert [run["id"] for run in await user.read("/api/v1/executions")] == started
        assert [run["id"] for run in (await user.read(path))["executions"]] == started


async def test_another_process_shows_what_was_written_here(
    user: Caller, installation: Platform
) -> None:
    graph = await user.save(echo())
    async with api(installation.settings) as elsewhere:
        for _ in range(5):
            started = await user.post(f"/api/v1/graphs/{graph.graph_id}/execute")
            run_id = answered(started)["id"]
            at_least = {"At-Least": started.headers["evergraph-position"]}
            for path in ("executions", f"graphs/{graph.graph_id}/executions"):
                listed = await elsewhere.get(f"/api/{path}", headers=user.headers | at_least)
                assert run_id in listed.text


async def test_a_listed_run_says_how_it_ended(user: Caller) -> None:
    outcome = await user.run(echo(), {"x": 5})

    async def listed() -> Any:
        (run,) = await user.read("/api/v1/executions")
        return run if run["status"] == "COMPLETED" else None

    run = await eventually(listed)
    assert run.keys() == META
    assert run == {name: outcome.run[name] for name in META}


async def test_the_runs_of_a_graph_come_in_pages(user: Caller) -> None:
    graph, other = await user.save(echo()), await user.save(echo())
    path = f"/api/v1/graphs/{graph.graph_id}/executions"
    assert await user.read(path) == {
        "executions": [],
        "pagination": {"total_items": 0, "total_pages": 0, "current_page": 1, "page_size": 25},
    }
    await user.start(other)
    started = [await user.start(graph) for _ in range(5)][::-1]
    pages = [await user.read(f"{path}?page={page}&page_size=2") for page in (1, 2, 3, 4)]
    shown = [[run["id"] for run in page["executions"]] for page in pages]
    assert shown == [started[:2], started[2:4], started[4:], []]
    assert pages[1]["pagination"] == {
        "total_items": 5,
        "total_pages": 3,
        "current_page": 2,
        "page_size": 2,
    }


async def test_all_runs_are_listed_whatever_their_graph(user: Caller) -> None:
    first, second = await user.save(echo()), await user.save(echo())
    started = [await user.start(second), await user.start(first)]
    assert [run["id"] for run in await user.read("/api/executions")] == started[::-1]


async def _ended(user: Caller, path: str) -> Document:
    async def ended() -> Document | None:
        run: Document = await user.read(path)
        return run if run["ended_at"] else None

    found: Document = await eventually(ended)
    return found
