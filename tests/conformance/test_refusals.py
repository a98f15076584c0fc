"""What is refused before anything happens, and in which words."""

from __future__ import annotations

import pytest

from blocks.logic import Condition, CountItems
from blocks.text import TextProcessing
from domain.engine.schemas import REQUIRED
from domain.graphs.node_checks import CREDENTIALS_REQUIRED
from runtime import ids
from tests.conformance import shapes
from tests.support.api import Caller, Platform, answered
from tests.support.graphs import Document, agent, agent_output, graph, items, node
from tests.support.plugin_blocks import NeedsCredentials


async def test_a_refused_start_names_all_that_is_wrong(user: Caller) -> None:
    document = graph(
        node("s", TextProcessing, text="x"), agent_output("y"), links="s.result > y.value"
    )
    saved = await user.save(document)
    assert answered(await user.post(saved.execute_path), 400)["detail"] == {
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
async def test_a_link_to_nowhere_is_named_and_nothing_is_kept(
    user: Caller, installation: Platform, links: str, node_errors: Document
) -> None:
    head = await installation.at_rest()
    nodes = (items("a", 1), node("s", CountItems), agent_output("y"))
    refused = await user.post("/api/v1/graphs", {"graph": graph(*nodes, links=links)})
    assert answered(refused, 400)["detail"]["node_errors"] == node_errors
    assert await installation.at_rest() == head


async def test_an_unknown_block_is_named(user: Caller) -> None:
    unknown = {"id": "u", "block_id": "00000000-0000-4000-8000-000000000000"}
    refused = await user.post("/api/v1/graphs", {"graph": graph(unknown)})
    message = f"Block {unknown['block_id']} does not exist"
    assert answered(refused, 400)["detail"]["node_errors"] == {"u": {"block_id": message}}


async def test_a_refused_start_leaves_nothing_behind(user: Caller, installation: Platform) -> None:
    links = """
        a.item > y.value
        test.result > y.value
    """
    test = node("test", Condition, value1=1, operator="~", value2=2)
    saved = await user.save(graph(items("a", 1), test, agent_output("y"), links=links))
    head = await installation.at_rest()
    refused = await user.post(saved.execute_path)
    errors = answered(refused, 400)["detail"]["node_errors"]
    assert errors[saved.ids["test"]]["operator"].startswith("must be one of ")
    assert await installation.at_rest() == head


async def test_credentials_that_are_not_optional_are_required(user: Caller) -> None:
    saved = await user.save(graph(node("n", NeedsCredentials, value=1)))
    errors = answered(await user.post(saved.execute_path), 400)["detail"]["node_errors"]
    assert errors == {saved.ids["n"]: {"credentials": CREDENTIALS_REQUIRED}}


async def test_credentials_that_nobody_has_are_unknown(user: Caller) -> None:
    named = node("n", NeedsCredentials, value=1, credentials={"id": "c"})
    saved = await user.save(graph(named))
    errors = answered(await user.post(saved.execute_path), 400)["detail"]["node_errors"]
    assert errors == {saved.ids["n"]: {"credentials": "Unknown credentials #c"}}


async def test_a_sub_graph_that_cannot_start_is_found_at_the_start(user: Caller) -> None:
    child = await user.save(graph(node("s", TextProcessing, text="x")))
    saved = await user.save(graph(agent("sub", child.model)))
    errors = answered(await user.post(saved.execute_path), 400)["detail"]["node_errors"]
    what = f"the sub-graph cannot run: node {child.ids['s']}: operation: {REQUIRED}"
    assert errors == {saved.ids["sub"]: {"graph_id": what}}


@pytest.mark.holds("S12")
async def test_the_sub_graph_of_somebody_else_is_none(user: Caller, installation: Platform) -> None:
    other = await installation.user()
    theirs = await other.save(shapes.sleeping())
    missing = {**theirs.model, "id": str(ids.new_id())}
    for model in (theirs.model, missing):
        saved = await user.save(graph(agent("sub", model, x=1)))
        errors = answered(await user.post(saved.execute_path), 400)["detail"]["node_errors"]
        assert errors == {saved.ids["sub"]: {"graph_id": f"Graph {model['id']} not found"}}
