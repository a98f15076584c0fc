"""Graphs over HTTP: how they and their versions are created, and what can be read."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

import pytest

from blocks.data import AddToList
from blocks.reviews import HumanInTheLoop
from blocks.triggers import GenericWebhookTrigger
from domain.runs import RunCreated
from runtime import ids
from tests.support.api import Caller, Platform, answered, saved
from tests.support.graphs import Document, agent_input, agent_output, echo, graph, items, node
from tests.support.log import whole_stream
from tests.support.written import begun

META = {
    *("id", "version", "is_active", "name", "description", "instructions"),
    *("recommended_schedule_cron", "forked_from_id", "forked_from_version"),
    *("user_id", "created_at"),
}
MODEL = META | {
    *("allow_cycles", "nodes", "links", "sub_graphs", "input_schema", "output_schema"),
    *("credentials_input_schema", "has_external_trigger", "has_human_in_the_loop"),
    *("has_sensitive_action", "trigger_setup_info"),
}
NODE = {
    *("id", "block_id", "input_default", "metadata", "input_links", "output_links"),
    *("graph_id", "graph_version", "webhook_id"),
}

LOOP = graph(
    items("start", []),
    node("add", AddToList, entry=1),
    links="""
        start.item > add.list
        add.updated_list > add.list
    """,
)
CYCLE = "图中存在循环依赖"


# --- creating ----------------------------------------------------------------------------------
async def test_a_graph_is_stored_under_new_ids(user: Caller) -> None:
    sent = echo() | {"id": "mine", "instructions": "Do", "recommended_schedule_cron": "0 9 * * *"}
    graph = await user.save(sent)
    model = graph.model
    assert model.keys() == MODEL
    assert (model["version"], model["is_active"]) == (1, True)
    assert (model["instructions"], model["recommended_schedule_cron"]) == ("Do", "0 9 * * *")
    assert model["user_id"] == str(user.user_id)
    assert datetime.fromisoformat(model["created_at"]).utcoffset() is not None
    assert (model["sub_graphs"], model["trigger_setup_info"]) == ([], None)
    given = [model["id"], *graph.ids.values(), *(link["id"] for link in model["links"])]
    assert len({UUID(own_id) for own_id in given}) == 4
    assert not set(given) & {"mine", "x", "y"}


async def test_nodes_keep_their_order_and_know_their_links(user: Caller) -> None:
    x, y = (await user.save(echo())).model["nodes"]
    (link,) = x["output_links"]
    assert x.keys() == y.keys() == NODE
    assert (x["input_default"], y["input_default"]) == ({"name": "x"}, {"name": "y"})
    assert (x["input_links"], y["input_links"], y["output_links"]) == ([], [link], [])
    assert link == {
        "id": link["id"],
        "source_id": x["id"],
        "sink_id": y["id"],
        "source_name": "result",
        "sink_name": "value",
        "is_static": True,
    }


async def test_the_schemas_name_inputs_and_outputs(user: Caller) -> None:
    document = graph(agent_input("x", value=5, title="X"), agent_input("z"), agent_output("y"))
    model = (await user.save(document)).model
    assert list(model["input_schema"]["properties"]) == ["x", "z"]
    assert model["input_schema"]["required"] == ["z"]
    assert model["input_schema"]["properties"]["x"]["default"] == 5
    assert list(model["output_schema"]["properties"]) == ["y"]
    assert model["credentials_input_schema"]["properties"] == {}


async def test_what_was_answered_is_what_is_read(user: Caller) -> None:
    graph = await user.save(echo())
    for path in (f"/api/v1/graphs/{graph.graph_id}", f"/api/graphs/{graph.graph_id}/versions/1"):
        assert await user.read(path) == graph.model


async def test_errors_name_the_nodes_of_the_caller(user: Caller, installation: Platform) -> None:
    head = await installation.at_rest()
    body = {"graph": graph(node("mine", AddToList), links="mine.updated_list > mine.nothing")}
    problem = answered(await user.post("/api/v1/graphs", body), 400)
    assert problem["type"] == "validation_error"
    assert problem["detail"]["type"] == "validation_error"
    assert problem["detail"]["message"] == problem["message"]
    assert list(problem["detail"]["node_errors"]) == ["mine"]
    assert len(problem["detail"]["errors"]) == 2
    assert await installation.at_rest() == head


@pytest.mark.parametrize("source", [None, "builder"])
async def test_a_cycle_is_refused(user: Caller, source: str | None) -> None:
    refused = await user.post("/api/v1/graphs", {"graph": LOOP, "source": source})
    assert answered(refused, 400)["message"] == f"{CYCLE}: add -> add"


async def test_a_cycle_may_be_asked_for(user: Caller) -> None:
    assert (await user.save(LOOP | {"allow_cycles": True})).model["allow_cycles"] is True


async def test_an_uploaded_cycle_stays_editable(user: Caller) -> None:
    graph = await user.save(LOOP, source="upload")
    assert graph.model["allow_cycles"] is True
    changed = answered(await user.put(f"/api/v1/graphs/{graph.graph_id}", LOOP))
    assert (changed["version"], changed["allow_cycles"]) == (2, True)


async def test_an_unknown_source_is_refused(user: Caller) -> None:
    refused = await user.post("/api/v1/graphs", {"graph": echo(), "source": "elsewhere"})
    assert answered(refused, 400)["message"] == "source: Invalid enum value 'elsewhere'"


# --- versions ----------------------------------------------------------------------------------
def titled(name: str, **members: object) -> Document:
    return echo() | {"name": name} | members


async def test_a_change_is_the_next_version_and_the_active_one(user: Caller) -> None:
    first = await user.save(titled("First"))
    path = f"/api/v1/graphs/{first.graph_id}"
    document = titled("Second", id=first.graph_id)
    second = saved(answered(await user.put(path, document)), document)
    assert (second.graph_id, second.version) == (first.graph_id, 2)
    assert second.model["is_active"] is True
    assert not set(second.ids.values()) & set(first.ids.values())
    assert await user.read(path) == second.model
    assert await user.read(f"{path}?version=1") == first.model | {"is_active": False}
    versions = await user.read(f"{path}/versions")
    assert [(v["version"], v["is_active"], v["name"]) for v in versions] == [
        (2, True, "Second"),
        (1, False, "First"),
    ]


async def test_a_version_that_is_not_active_leaves_the_active_one(user: Caller) -> None:
    first = await user.save(titled("First"))
    path = f"/api/v1/graphs/{first.graph_id}"
    second = answered(await user.put(path, titled("Second", is_active=False)))
    assert (second["version"], second["is_active"]) == (2, False)
    assert (await user.read(path))["name"] == "First"
    assert [meta["name"] for meta in await user.read("/api/v1/graphs")] == ["First"]
    run = answered(await user.post(f"{path}/execute", {"inputs": {"x": 1}}))
    assert run["graph_version"] == 1
    third = answered(await user.put(path, titled("Third")))
    assert (third["version"], third["is_active"]) == (3, True)
    assert [v["is_active"] for v in await user.read(f"{path}/versions")] == [True, False, False]


async def test_the_first_version_is_active_whatever_it_says(user: Caller) -> None:
    graph = await user.save(titled("First", is_active=False))
    assert graph.model["is_active"] is True
    assert (await user.read(f"/api/v1/graphs/{graph.graph_id}"))["is_active"] is True


async def test_the_id_in_the_body_is_that_of_the_path(user: Caller, installation: Platform) -> None:
    graph = await user.save(echo())
    head = await installation.at_rest()
    refused = await user.put(f"/api/v1/graphs/{graph.graph_id}", echo() | {"id": "other"})
    assert answered(refused, 400)["message"] == "Graph ID does not match ID in URI"
    assert await installation.at_rest() == head


async def test_a_graph_that_does_not_exist_cannot_change(user: Caller) -> None:
    unknown = str(ids.new_id())
    refused = await user.put(f"/api/v1/graphs/{unknown}", echo())
    assert answered(refused, 404)["message"] == f"Graph {unknown} not found"


async def test_changes_at_once_are_versions_one_after_the_other(user: Caller) -> None:
    graph = await user.save(echo())
    path = f"/api/v1/graphs/{graph.graph_id}"
    names = [f"Number {number}" for number in range(12)]
    answers = await asyncio.gather(*(user.put(path, titled(name)) for name in names))
    given = {answered(answer)["version"]: answered(answer)["name"] for answer in answers}
    assert sorted(given) == list(range(2, 14))
    assert sorted(given.values()) == sorted(names)
    kept = {v["version"]: v["name"] for v in await user.read(f"{path}/versions")}
    assert kept == given | {1: "Example"}


# --- reading -----------------------------------------------------------------------------------
async def test_a_list_shows_what_was_just_written(user: Caller) -> None:
    assert await user.read("/api/v1/graphs") == []
    for number in range(5):
        graph = await user.save(titled(f"Number {number}"))
        listed = await user.read("/api/v1/graphs")
        assert [meta["name"] for meta in listed] == [f"Number {n}" for n in range(number, -1, -1)]
        assert listed[0] == {name: graph.model[name] for name in META}


async def test_a_list_shows_a_changed_name_first(user: Caller) -> None:
    first, _ = await user.save(titled("First")), await user.save(titled("Second"))
    answered(await user.put(f"/api/v1/graphs/{first.graph_id}", titled("Changed")))
    assert [meta["name"] for meta in await user.read("/api/graphs")] == ["Changed", "Second"]


@pytest.mark.parametrize("path", ["?version=2", "/versions/2", "/versions/0"])
async def test_a_version_that_does_not_exist_is_not_found(user: Caller, path: str) -> None:
    graph = await user.save(echo())
    refused = await user.get(f"/api/v1/graphs/{graph.graph_id}{path}")
    assert "has no version" in answered(refused, 404)["message"]


# --- what a graph is and how it behaves --------------------------------------------------------
async def test_a_graph_says_what_its_blocks_ask_for(user: Caller) -> None:
    asks = graph(
        items("a", 1), node("ask", HumanInTheLoop, name="Letter"), links="a.item > ask.data"
    )
    waits = graph(node("hook", GenericWebhookTrigger))
    flags = ("has_human_in_the_loop", "has_external_trigger", "has_sensitive_action")
    for document, expected in (
        (echo(), (False, False, False)),
        (asks, (True, False, False)),
        (waits, (False, True, False)),
    ):
        saved = await user.save(document)
        read = await user.read(saved.path)
        for model in (saved.model, read):
            assert tuple(model[flag] for flag in flags) == expected


ASKS, ASKS_SENSITIVE = "human_in_the_loop_safe_mode", "sensitive_action_safe_mode"


async def test_settings_change_one_by_one(user: Caller) -> None:
    saved = await user.save(echo())
    path = f"{saved.path}/settings"
    for change, asks, asks_sensitive in (
        ({}, True, False),
        ({ASKS_SENSITIVE: True}, True, True),
        ({ASKS: False}, False, True),
        ({ASKS: None, "unknown": 1}, False, True),
        ({ASKS: True, ASKS_SENSITIVE: False}, True, False),
    ):
        settings = answered(await user.request("PATCH", path, change))
        assert settings == {ASKS: asks, ASKS_SENSITIVE: asks_sensitive}


async def test_settings_hold_for_every_version_and_for_later_runs(
    still: Platform, author: Caller
) -> None:
    saved = await author.save(echo())
    first = await begun(still.log, author, saved)
    change = {ASKS: False, ASKS_SENSITIVE: True}
    answered(await author.request("PATCH", f"{saved.path}/settings", change))
    answered(await author.put(saved.path, echo()))
    later = [await begun(still.log, author, saved), await begun(still.log, author, saved)]
    asked = []
    for run in (first, *later):
        [created] = await whole_stream(still.log, run.stream)
        assert isinstance(created.event, RunCreated)
        asked.append((created.event.asks, created.event.asks_sensitive))
    assert asked == [(True, False), (False, True), (False, True)]
    assert answered(await author.request("PATCH", f"{saved.path}/settings", {})) == change


async def test_settings_that_change_nothing_write_nothing(still: Platform, author: Caller) -> None:
    saved = await author.save(echo())
    head = await still.head()
    response = await author.request("PATCH", f"{saved.path}/settings", {ASKS: True})
    assert answered(response)[ASKS] is True
    assert await still.head() == head


@pytest.mark.parametrize("change", [{ASKS: "maybe"}, {ASKS: 2}, [], None, b""])
async def test_settings_are_yes_or_no(user: Caller, change: object) -> None:
    saved = await user.save(echo())
    answered(await user.request("PATCH", f"{saved.path}/settings", change), 400)
