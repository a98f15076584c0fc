"""What belongs to somebody else does not exist: OWASP API1 and API3."""

from __future__ import annotations

from typing import Any

import pytest

from api.app import create_app
from domain.runs import execution_id
from runtime import ids
from tests.support.api import Caller, Platform, answered
from tests.support.graphs import echo
from tests.support.routes import Endpoint, endpoints

RUN = "/api/graphs/{graph_id}/executions/{run_id}"
BODIES: dict[str, Any] = {
    "PUT /api/graphs/{graph_id}": echo(),
    "PATCH /api/graphs/{graph_id}/settings": {},
    "POST /api/graphs/{graph_id}/execute": {},
    "POST /api/graphs/{graph_id}/execute/{graph_version}": {},
    f"POST {RUN}/fork": {"version": 1},
}
"""What each route that takes a body and an id would accept from the owner."""
TOO_LATE = {f"POST {RUN}/pause", f"POST {RUN}/resume", f"POST {RUN}/retry"}
"""What the owner of a run that has completed is told to be impossible."""


def with_ids(app_of: Platform) -> list[Endpoint]:
    """Every route whose path names a thing of somebody."""
    return [
        endpoint
        for endpoint in endpoints(create_app(app_of.settings))
        if any(name.endswith("_id") for name in endpoint.parameters)
        and endpoint.method != "OPTIONS"
        and not endpoint.is_public
    ]


async def things(app_of: Platform, owner: Caller) -> dict[str, Any]:
    """One of each kind that a path can name, and what else a path has."""
    (value_id,) = await app_of.log.values.put(str(owner.user_id), [b'"secret"'])
    graph = await owner.save(echo())
    run_id = await owner.start(graph, {"x": "secret"})
    await owner.ended(graph, run_id)
    return {
        "graph_id": graph.graph_id,
        "run_id": run_id,
        "value_id": value_id,
        "graph_version": 1,
        "version": 1,
    }


async def answer_to(caller: Caller, endpoint: Endpoint, values: dict[str, Any]) -> tuple[int, str]:
    """Status and body, without the ids that the request itself has named."""
    body = BODIES[endpoint.operation] if endpoint.takes_a_body else None
    response = await caller.request(endpoint.method, endpoint.url(values), body)
    text = response.text
    for name, value in values.items():
        if name.endswith("_id"):
            text = text.replace(str(value), name)
    return response.status_code, text


@pytest.mark.holds("S10")
async def test_what_is_foreign_is_as_unknown_as_what_is_not_there(installation: Platform) -> None:
    """The same status and body for an id of another user and for one of nobody."""
    owner, stranger = await installation.user(), await installation.user()
    foreign = await things(installation, owner)
    nobodys = {"graph_id": str(ids.new_id()), "run_id": str(ids.new_id()), "value_id": "0" * 64}
    unknown = foreign | nobodys
    head = await installation.at_rest()
    found = with_ids(installation)
    assert len(found) >= 36
    for endpoint in found:
        to_foreign = await answer_to(stranger, endpoint, foreign)
        assert to_foreign[0] == 404, endpoint
        assert to_foreign == await answer_to(stranger, endpoint, unknown), endpoint
    assert await installation.at_rest() == head
    for endpoint in found:
        own, _ = await answer_to(owner, endpoint, foreign)
        assert own == (409 if endpoint.operation in TOO_LATE else 200), endpoint


@pytest.mark.holds("S10")
async def test_a_foreign_run_is_not_found_through_an_own_graph(installation: Platform) -> None:
    owner, stranger = await installation.user(), await installation.user()
    foreign, own = await things(installation, owner), await things(installation, stranger)
    endpoints_of_runs = [
        e for e in with_ids(installation) if {"graph_id", "run_id"} <= {*e.parameters}
    ]
    assert len(endpoints_of_runs) >= 12
    for endpoint in endpoints_of_runs:
        for graph_id, run_id in (
            (own["graph_id"], foreign["run_id"]),
            (foreign["graph_id"], own["run_id"]),
        ):
            status, body = await answer_to(
                stranger, endpoint, {"graph_id": graph_id, "run_id": run_id}
            )
            assert (status, "Execution run_id not found" in body) == (404, True), endpoint


@pytest.mark.holds("S12")
async def test_a_foreign_node_execution_is_not_a_place_to_fork(installation: Platform) -> None:
    owner, stranger = await installation.user(), await installation.user()
    foreign, own = await things(installation, owner), await things(installation, stranger)
    path = f"/api/v1/graphs/{own['graph_id']}/executions/{own['run_id']}/fork"
    for run_id in (foreign["run_id"], str(ids.new_id())):
        node = execution_id(run_id, 0)
        refused = answered(await stranger.post(path, {"node_exec_id": node}), 404)
        assert refused["message"] == f"Node execution {node} not found"


@pytest.mark.holds("S10")
async def test_lists_hold_what_is_the_callers_own(installation: Platform) -> None:
    owner, stranger = await installation.user(), await installation.user()
    await things(installation, owner)
    for path in ("/api/v1/graphs", "/api/v1/executions"):
        assert len(await owner.read(path)) == 1
        assert await stranger.read(path) == []


@pytest.mark.holds("S14")
async def test_nobody_chooses_what_the_platform_decides(installation: Platform) -> None:
    """An owner, an id, a version, credits to hold in a body change nothing."""
    owner, stranger = await installation.user(), await installation.user()
    foreign = await things(installation, owner)
    claimed = {"user_id": str(owner.user_id), "id": foreign["graph_id"], "version": 7}
    mine = await stranger.save(echo() | claimed, user_id=str(owner.user_id))
    assert mine.model["user_id"] == str(stranger.user_id)
    assert mine.version == 1
    assert mine.graph_id != foreign["graph_id"]
    started = await stranger.post(
        f"/api/v1/graphs/{mine.graph_id}/execute/1",
        {"inputs": {}, "user_id": str(owner.user_id), "steps_max": 10**9, "held": -5},
    )
    run = answered(started)
    assert run["user_id"] == str(stranger.user_id)
    await stranger.ended(mine, run["id"])
    assert (
        len(await owner.read("/api/v1/graphs")) == len(await stranger.read("/api/v1/graphs")) == 1
    )
    assert len(await owner.read("/api/v1/executions")) == 1


@pytest.mark.parametrize("header", ["X_Act_As_User_Id", "X_User_Id"])
@pytest.mark.holds("S14")
async def test_no_header_makes_somebody_else_of_a_caller(
    installation: Platform, header: str
) -> None:
    owner, stranger = await installation.user(), await installation.user()
    await things(installation, owner)
    assert await stranger.read("/api/v1/graphs", **{header: str(owner.user_id)}) == []
