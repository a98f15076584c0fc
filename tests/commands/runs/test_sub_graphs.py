"""A graph with graphs inside is refused at once when one of those could not run (4.3)."""

from __future__ import annotations

import pytest

from blocks.catalogue import CONTRACTS
from blocks.reviews import HumanInTheLoop
from blocks.triggers import GenericWebhookTrigger
from blocks.web import SendWebRequest
from commands import graphs
from domain.engine.plan import NOT_BY_HAND
from domain.errors import GraphInvalid
from domain.limits import run_limits
from runtime.aggregates.repository import Repository
from tests.commands.runs.driving import ADA, EVE, agent, saved, start
from tests.support.graphs import Document, agent_input, agent_output, echo, graph, node

CANNOT_RUN = "the sub-graph cannot run: node "


def around(*parts: Document) -> Document:
    """A graph whose input every part gets, and whose parts' outputs are its own."""
    links = [f"x.result > {part['id']}.x\n{part['id']}.y > y.value" for part in parts]
    return graph(agent_input("x"), *parts, agent_output("y"), links="\n".join(links))


async def refusal(repository: Repository, document: Document) -> list[str]:
    """Why the graph's nodes cannot run."""
    graph_id = await saved(repository, document)
    head = await repository.log.read_head()
    with pytest.raises(GraphInvalid) as refused:
        await start(repository, graph_id, inputs={"x": 1})
    assert await repository.log.read_head() == head
    errors = refused.value.node_errors
    assert str(refused.value) == (
        f"Graph validation failed: {len(errors)} issues on {len(errors)} nodes"
    )
    return [message for fields in errors.values() for message in fields.values()]


async def accept(repository: Repository, document: Document) -> None:
    await start(repository, await saved(repository, document), inputs={"x": 1})


async def test_what_exists_and_can_run_is_accepted(repository: Repository) -> None:
    leaf = await saved(repository, echo())
    middle = await saved(repository, around(agent("leaf", leaf)))
    await accept(repository, around(agent("a", leaf), agent("b", middle)))


async def test_graphs_that_are_not_the_users(repository: Repository) -> None:
    ours = await saved(repository, echo())
    theirs = await saved(repository, echo(), context=EVE)
    document = around(agent("a", theirs), agent("b", "none"), agent("c", ours, version=2))
    assert await refusal(repository, document) == [
        f"Graph {theirs} not found",
        "Graph none not found",
        f"Graph {ours} has no version 2",
    ]


async def test_what_a_part_misses_is_said_at_the_part(repository: Repository) -> None:
    broken = graph(
        agent_input("x"),
        node("web", SendWebRequest),
        agent_output("y"),
        links="x.result > web.body\nweb.response > y.value",
    )
    leaf = await saved(repository, broken)
    (message,) = await refusal(repository, around(agent("leaf", leaf)))
    assert message.startswith(CANNOT_RUN)
    assert message.endswith(": url: This field is required")
    middle = await saved(repository, around(agent("leaf", leaf)))
    (nested,) = await refusal(repository, around(agent("middle", middle)))
    assert nested.startswith(CANNOT_RUN)
    assert nested.endswith(message)


async def test_a_part_that_starts_with_an_event_cannot_be_run(repository: Repository) -> None:
    waiting = graph(
        node("event", GenericWebhookTrigger),
        agent_output("y"),
        links="event.payload > y.value",
    )
    part = agent("part", await saved(repository, waiting))
    document = graph(part, agent_output("y"), links="part.y > y.value")
    (message,) = await refusal(repository, document)
    assert message.endswith(f": payload: {NOT_BY_HAND}")


async def test_a_value_that_a_link_brings_is_not_known_yet(repository: Repository) -> None:
    """An INPUT node with a link into it can start only when the run is given its value."""
    linked = graph(
        agent_input("other"),
        agent_input("x"),
        agent_output("y"),
        links="other.result > x.value\nx.result > y.value",
    )
    leaf = await saved(repository, linked)
    await accept(repository, around(agent("part", leaf)))
    without = graph(agent("part", leaf), agent_output("y"), links="part.y > y.value")
    (message,) = await refusal(repository, without)
    assert message.endswith(": value: This field is required")
    given = graph(agent("part", leaf, x=1), agent_output("y"), links="part.y > y.value")
    await accept(repository, given)


async def test_a_graph_inside_itself_may_come_to_an_end(repository: Repository) -> None:
    graph_id = await saved(repository, echo())
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
    await graphs.save_version(
        repository, ADA, graph_id=graph_id, document=itself, contracts=CONTRACTS
    )
    assert (await start(repository, graph_id, inputs={"x": 1})).answer.graph_version == 2


async def test_bounds(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_limits, "CHILD_DEPTH_MAX", 2)
    monkeypatch.setattr(run_limits, "SUB_GRAPHS_CHECKED_MAX", 3)
    leaf = await saved(repository, echo())
    middle = await saved(repository, around(agent("leaf", leaf)))
    top = await saved(repository, around(agent("middle", middle)))
    (deep,) = await refusal(repository, around(agent("top", top)))
    assert deep.endswith("sub-graphs are nested more than 2 deep")
    same = [agent(name, leaf) for name in "abcde"]
    await accept(repository, around(*same))
    different = [agent(name, leaf, z=name) for name in "abcde"]
    assert await refusal(repository, around(*different)) == ["there are more than 3 sub-graphs"] * 2
