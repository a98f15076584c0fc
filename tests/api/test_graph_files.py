"""Agent files as the platform exports them, into and out of the API."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.agents import AgentExecutor
from blocks.data import StoreValue
from blocks.io import AgentInput, AgentOutput
from blocks.logic import Calculator, Condition
from blocks.web import SendWebRequest
from tests.support.api import Caller, answered, saved
from tests.support.graphs import Document, agent_input, agent_output, graph, node

EXPORTED: Document = {
    "id": "halving-agent",
    "version": 12,
    "is_active": True,
    "is_template": False,
    "name": "Halving",
    "description": "Halves a number until it is below one",
    "author": {"name": "unknown"},
    "nodes": [
        {
            "id": "start!",
            "block_id": AgentInput.id,
            "input_default": {"name": "number", "value": None, "title": None},
            "metadata": {"position": {"x": -120.5, "y": 3}, "customized_name": "Start"},
            "input_links": [],
            "output_links": [],
            "webhook": None,
        },
        {
            "id": "half",
            "block_id": Calculator.id,
            "input_default": {"operation": "Divide", "b": 2},
            "metadata": {"position": {"x": 0, "y": 0}},
        },
        {
            "id": "small enough?",
            "block_id": Condition.id,
            "input_default": {"operator": "<", "value2": 1},
        },
        {"id": "end", "block_id": AgentOutput.id, "input_default": {"name": "result"}},
    ],
    "links": [
        {
            "id": "not a UUID",
            "source_id": "start!",
            "sink_id": "half",
            "source_name": "result",
            "sink_name": "a",
        },
        {
            "source_id": "half",
            "sink_id": "small enough?",
            "source_name": "result",
            "sink_name": "value1",
        },
        {
            "source_id": "small enough?",
            "sink_id": "end",
            "source_name": "yes_output",
            "sink_name": "value",
            "is_static": False,
        },
        {
            "source_id": "half",
            "sink_id": "small enough?",
            "source_name": "result",
            "sink_name": "no_value",
        },
        {
            "source_id": "small enough?",
            "sink_id": "half",
            "source_name": "no_output",
            "sink_name": "a",
        },
    ],
    "input_schema": {"type": "object", "properties": {"gone": {}}},
    "output_schema": {},
    "sub_graphs": [],
    "created_at": "2024-05-01T00:00:00Z",
}
"""Written the way an older export is: names for ids, keys that mean nothing here, a cycle."""


async def test_an_exported_agent_runs(user: Caller) -> None:
    outcome = await user.run(EXPORTED, {"number": 10})
    assert outcome.outputs == {"result": [0.625]}
    assert len(outcome.inputs("half")) == 4


async def test_an_export_keeps_what_describes_it(user: Caller) -> None:
    model = (await user.save(EXPORTED, source="upload")).model
    assert (model["name"], model["version"]) == ("Halving", 1)
    assert model["nodes"][0]["metadata"] == EXPORTED["nodes"][0]["metadata"]
    assert model["nodes"][0]["input_default"] == EXPORTED["nodes"][0]["input_default"]
    assert list(model["input_schema"]["properties"]) == ["number"]
    assert [link["is_static"] for link in model["links"]] == [True, *[False] * 4]


async def test_ports_that_list_their_connections_are_links(user: Caller) -> None:
    """The older shape: no links, but `input_nodes` and `output_nodes` at each node."""
    x, y = agent_input("x"), agent_output("y")
    document = graph(
        x | {"output_nodes": {"result": [{"node_id": "y", "name": "value"}]}},
        y | {"input_nodes": {"value": [{"node_id": "x", "name": "result"}]}},
    )
    del document["links"]
    assert (await user.run(document, {"x": 5})).outputs == {"y": [5]}


async def test_links_that_only_nodes_carry_are_links(user: Caller) -> None:
    link = {"source_id": "x", "sink_id": "y", "source_name": "result", "sink_name": "value"}
    document = graph(
        agent_input("x") | {"output_links": [link]}, agent_output("y") | {"input_links": [link]}
    )
    assert (await user.run(document, {"x": 5})).outputs == {"y": [5]}


async def test_an_export_is_what_another_user_can_import(user: Caller, installation: Any) -> None:
    graph = await user.save(EXPORTED, source="upload")
    path = f"/api/v1/graphs/{graph.graph_id}"
    exported = await user.read(f"{path}?for_export=true")
    assert exported == await user.read(f"{path}/versions/1?for_export=true")
    other = await installation.user()
    copy = saved(answered(await other.post("/api/v1/graphs", {"graph": exported})), exported)
    assert copy.graph_id != graph.graph_id
    outcome = await other.ended(copy, await other.start(copy, {"number": 3}))
    assert outcome.outputs == {"result": [0.75]}


async def test_an_export_names_no_user_and_holds_no_secret(user: Caller) -> None:
    secret = agent_input("key", value="s3cret", secret=True, **{"value_#_part": "s3cret"})
    graph_ = await user.save(graph(secret, agent_input("open", value="shown"), agent_output("y")))
    path = f"/api/v1/graphs/{graph_.graph_id}"
    response = await user.get(f"{path}?for_export=true")
    assert "s3cret" not in response.text
    assert str(user.user_id) not in response.text
    nodes = answered(response)["nodes"]
    assert nodes[0]["input_default"] == {"name": "key", "secret": True}
    assert nodes[1]["input_default"] == {"name": "open", "value": "shown"}
    assert (await user.read(path))["nodes"][0]["input_default"]["value"] == "s3cret"


@pytest.mark.holds("S43")
async def test_an_export_holds_nothing_that_is_called_a_secret(user: Caller) -> None:
    request = node(
        "ask",
        SendWebRequest,
        url="https://example.com",
        headers={"Authorization": "Bearer s3cret", "x-api-key": "s3cret", "Accept": "text/html"},
        body={"users": [{"password": "s3cret", "max_tokens": 5}]},
        **{"headers_#_Cookie": "s3cret", "headers_#_Accept-Language": "de"},
    )
    stored = node("keep", StoreValue, input='{"Authorization":"Bearer s3cret","n":1}')
    stored["metadata"] = {"note": "see https://me:s3cret@example.com", "clientSecret": "s3cret"}
    field = agent_input("accessToken", value="s3cret")
    saved_ = await user.save(graph(request, stored, field, instructions="GET /?token=s3cret"))
    path = f"/api/v1/graphs/{saved_.graph_id}"
    response = await user.get(f"{path}?for_export=true")
    assert "s3cret" not in response.text
    asked, kept, given = answered(response)["nodes"]
    assert kept["input_default"] == {"input": '{"n":1}'}
    assert kept["metadata"] == {"note": "see https://***@example.com"}
    assert given["input_default"] == {"name": "accessToken"}
    assert asked["input_default"] == {
        "url": "https://example.com",
        "headers": {"Accept": "text/html"},
        "body": {"users": [{"max_tokens": 5}]},
        "headers_#_Accept-Language": "de",
    }
    assert "s3cret" in (await user.get(path)).text


async def test_an_export_keeps_the_links_to_what_an_agent_within_it_takes(user: Caller) -> None:
    """Also where that is called a secret."""
    takes = await user.save(graph(agent_input("api_key"), agent_output("y")))
    agent = node(
        "agent",
        AgentExecutor,
        graph_id=takes.graph_id,
        graph_version=1,
        input_schema=takes.model["input_schema"],
        output_schema=takes.model["output_schema"],
        inputs={"api_key": "s3cret"},
    )
    saved_ = await user.save(graph(agent_input("x"), agent, links="x.result > agent.api_key"))
    exported = await user.read(f"/api/v1/graphs/{saved_.graph_id}?for_export=true")
    assert exported["nodes"][1]["input_default"]["inputs"] == {}
    again = await user.save(exported)
    assert len(again.model["links"]) == 1
