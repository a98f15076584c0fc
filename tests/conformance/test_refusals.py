"""What is refused before anything happens: the cases C18 to C22 of the engine's rules."""

from __future__ import annotations

import pytest

from blocks.logic import Condition, CountItems
from blocks.text import TextProcessing
from tests.support.api import Caller, Platform, answered
from tests.support.graphs import Document, agent_input, agent_output, graph, items, node

REQUIRED = "This field is required"


async def test_c18_a_required_pin_without_link_and_value_is_refused(user: Caller) -> None:
    document = graph(
        node("s", TextProcessing, text="x"), agent_output("y"), links="s.result > y.value"
    )
    saved = await user.save(document)
    refused = await user.post(f"/api/v1/graphs/{saved.graph_id}/execute/1", {})
    assert answered(refused, 400)["detail"] == {
        "type": "validation_error",
        "message": "Graph validation failed: 1 issues on 1 nodes",
        "node_errors": {saved.ids["s"]: {"operation": REQUIRED}},
        "errors": [f"Node {saved.ids['s']}: operation: {REQUIRED}"],
    }


@pytest.mark.parametrize(
    ("links", "node_errors"),
    [
        (
            "a.thing > y.value",
            {"a": {"thing": "StepThroughItemsBlock has no output 'thing', only: item, key, error"}},
        ),
        (
            "a.item > s.thing",
            {"s": {"thing": "CountItemsBlock has no input 'thing', only: collection"}},
        ),
        ("a.item > gone.value", {"a": {"item": "there is no node gone"}}),
        ("gone.item > y.value", {"y": {"value": "there is no node gone"}}),
    ],
)
async def test_c19_a_link_to_nowhere_is_refused(
    user: Caller, installation: Platform, links: str, node_errors: Document
) -> None:
    head = await installation.at_rest()
    nodes = (items("a", 1), node("s", CountItems), agent_output("y"))
    refused = await user.post("/api/v1/graphs", {"graph": graph(*nodes, links=links)})
    assert answered(refused, 400)["detail"]["node_errors"] == node_errors
    assert await installation.at_rest() == head


async def test_c19_an_unknown_block_is_refused(user: Caller) -> None:
    unknown = {"id": "u", "block_id": "00000000-0000-4000-8000-000000000000"}
    refused = await user.post("/api/v1/graphs", {"graph": graph(unknown)})
    message = f"Block {unknown['block_id']} does not exist"
    assert answered(refused, 400)["detail"]["node_errors"] == {"u": {"block_id": message}}


async def test_c21_a_linked_input_without_a_value_is_refused(user: Caller) -> None:
    nodes = (items("a", 1), agent_input("x", value="default"))
    saved = await user.save(graph(*nodes, links="a.item > x.value"))
    refused = await user.post(f"/api/v1/graphs/{saved.graph_id}/execute/1", {"inputs": {}})
    assert answered(refused, 400)["detail"]["node_errors"] == {saved.ids["x"]: {"value": REQUIRED}}


async def test_c22_one_node_that_cannot_start_refuses_the_run(
    user: Caller, installation: Platform
) -> None:
    links = """
        a.item > y.value
        test.result > z.value
    """
    test = node("test", Condition, value1=1, operator="~", value2=2)
    saved = await user.save(
        graph(items("a", 1), test, agent_output("y"), agent_output("z"), links=links)
    )
    head = await installation.at_rest()
    refused = await user.post(f"/api/v1/graphs/{saved.graph_id}/execute/1", {})
    errors = answered(refused, 400)["detail"]["node_errors"]
    assert list(errors) == [saved.ids["test"]]
    assert errors[saved.ids["test"]]["operator"].startswith("must be one of ")
    assert await installation.at_rest() == head
    assert await user.read("/api/v1/executions") == []
