"""A graph with graphs inside is refused at once when one of those could not run (4.3)."""

from __future__ import annotations

import pytest

from blocks.catalogue import CONTRACTS
from blocks.reviews import HumanInTheLoop
from blocks.triggers import GenericWebhookTrigger
from blocks.web import SendWebRequest
from commands import graphs
from commands.streams import Streams
from domain import limits
from domain.engine.plan import NOT_BY_HAND
from domain.errors import GraphInvalid
from tests.commands.driving import ADA, EVE, agent, saved, start
from tests.support.graphs import Document, agent_input, agent_output, echo, graph, node

CANNOT_RUN = "the sub-graph cannot run: node "


def around(*parts: Document) -> Document:
    """A graph whose input every part gets, and whose parts' outputs are its own."""
    links = [f"x.result > {part['id']}.x\n{part['id']}.y > y.value" for part in parts]
    return graph(agent_input("x"), *parts, agent_output("y"), links="\n".join(links))


async def refusal(streams: Streams, document: Document) -> list[str]:
    """Why the graph's nodes cannot run."""
    graph_id = await saved(streams, document)
    head = await streams.log.read_head()
    with pytest.raises(GraphInvalid) as refused:
        await start(streams, graph_id, inputs={"x": 1})
    assert await streams.log.read_head() == head
    errors = refused.value.node_errors
    assert str(refused.value) == (
        f"Graph validation failed: {len(errors)} issues on {len(errors)} nodes"
    )
    return [message for fields in errors.values() for message in fields.values()]


async def accept(streams: Streams, document: Document) -> None:
    await start(streams, await saved(streams, document), inputs={"x": 1})


async def test_what_exists_and_can_run_is_accepted(streams: Streams) -> None:
    leaf = await saved(streams, echo())
    middle = await saved(streams, around(agent("leaf", leaf)))
    await accept(streams, around(agent("a", leaf), agent("b", middle)))


async def test_graphs_that_are_not_the_users(streams: Streams) -> None:
    ours = await saved(streams, echo())
    theirs = await saved(streams, echo(), context=EVE)
    document = around(agent("a", theirs), agent("b", "none"), agent("c", ours, version=2))
    assert await refusal(streams, document) == [
        f"Graph {theirs} not found",
        "Graph none not found",
        f"Graph {ours} has no version 2",
    ]


async def test_what_a_part_misses_is_said_at_the_part(streams: Streams) -> None:
    broken = graph(
        agent_input("x"),
        node("web", SendWebRequest),
        agent_output("y"),
        links="x.result > web.body\nweb.response > y.value",
    )
    leaf = await saved(streams, broken)
    (message,) = await refusal(streams, around(agent("leaf", leaf)))
    assert message.startswith(CANNOT_RUN)
    assert message.endswith(": url: This field is required")
    middle = await saved(streams, around(agent("leaf", leaf)))
    (nested,) = await refusal(streams, around(agent("middle", middle)))
    assert nested.startswith(CANNOT_RUN)
    assert nested.endswith(message)


async def test_a_part_that_starts_with_an_event_cannot_be_run(streams: Streams) -> None:
    waiting = graph(
        node("event", GenericWebhookTrigger),
        agent_output("y"),
        links="event.payload > y.value",
    )
    part = agent("part", await saved(streams, waiting))
    document = graph(part, agent_output("y"), links="part.y > y.value")
    (message,) = await refusal(streams, document)
    assert message.endswith(f": payload: {NOT_BY_HAND}")


async def test_a_value_that_a_link_brings_is_not_known_yet(streams: Streams) -> None:
    """An INPUT node with a link into it can start only when the run is given its value."""
    linked = graph(
        agent_input("other"),
        agent_input("x"),
        agent_output("y"),
        links="other.result > x.value\nx.result > y.value",
    )
    leaf = await saved(streams, linked)
    await accept(streams, around(agent("part", leaf)))
    without = graph(agent("part", leaf), agent_output("y"), links="part.y > y.value")
    (message,) = await refusal(streams, without)
    assert message.endswith(": value: This field is required")
    given = graph(agent("part", leaf, x=1), agent_output("y"), links="part.y > y.value")
    await accept(streams, given)


async def test_a_graph_inside_itself_may_come_to_an_end(streams: Streams) -> None:
    graph_id = await saved(streams, echo())
    itself = graph(
        agent_input("x"),
        node("ask", HumanInTheLoop, name="Again?"),
        agent("again", graph_id, version=2),
        agent_output("y"),
        links="""
            x.result > ask.data
            ask.approved_data > again.x
            again.y > y.value
        """,
    )
    await graphs.save_version(streams, ADA, graph_id=graph_id, document=itself, contracts=CONTRACTS)
    assert (await start(streams, graph_id, inputs={"x": 1})).answer.graph_version == 2


async def test_bounds(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHILD_DEPTH_MAX", 2)
    monkeypatch.setattr(limits, "SUB_GRAPHS_CHECKED_MAX", 3)
    leaf = await saved(streams, echo())
    middle = await saved(streams, around(agent("leaf", leaf)))
    top = await saved(streams, around(agent("middle", middle)))
    (deep,) = await refusal(streams, around(agent("top", top)))
    assert deep.endswith("sub-graphs are nested more than 2 deep")
    same = [agent(name, leaf) for name in "abcde"]
    await accept(streams, around(*same))
    different = [agent(name, leaf, z=name) for name in "abcde"]
    assert await refusal(streams, around(*different)) == ["there are more than 3 sub-graphs"] * 2
