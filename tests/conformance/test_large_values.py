"""Values that are too large for an event: kept once, by their content, and shown whole."""

from __future__ import annotations

from blocks.data import StoreValue
from blocks.reviews import HumanInTheLoop
from blocks.text import TextProcessing
from domain.limits import value_limits
from domain.runs import ReviewRequested
from tests.conformance import shapes
from tests.conformance.people import asked, decide
from tests.support.api import Caller
from tests.support.graphs import agent_input, agent_output, graph, items, node
from tests.support.installation import Installation

TEXT = "large " * 34_000
"""About 200 KB."""

SELECT_VALUES = "SELECT length(value) FROM log.values WHERE owner = %s"
SELECT_LARGEST_EVENT = """
SELECT max(length(state)) FROM log.stored_events WHERE originator_id = %s
"""


async def test_a_large_value_is_stored_once_on_its_way_through_nodes(
    user: Caller, installation: Installation
) -> None:
    links = """
        x.result > one.input
        one.output > two.input
        two.output > y.value
    """
    nodes = (agent_input("x"), node("one", StoreValue), node("two", StoreValue), agent_output("y"))
    outcome = await user.run(graph(*nodes, links=links), {"x": TEXT})
    assert outcome.outputs == {"y": [TEXT]}
    assert outcome.run["inputs"] == {"x": TEXT}
    assert outcome.only("two")["input_data"]["input"] == TEXT
    assert outcome.only("two")["output_data"] == {"output": [TEXT]}
    values = await installation.rows(SELECT_VALUES, str(user.user_id))
    assert values == [(len(TEXT) + 2,)]
    stream = f"run-{outcome.run['id']}"
    ((largest,),) = await installation.rows(SELECT_LARGEST_EVENT, stream)
    assert largest < value_limits.VALUE_INLINE_BYTES_MAX / 10


async def test_a_large_value_survives_a_death(user: Caller, installation: Installation) -> None:
    links = """
        x.result > late.data
        late.output > up.text
        up.processed_text > y.value
    """
    late = shapes.waiting("late", 1.5)
    up = node("up", TextProcessing, operation="upper")
    saved = await user.save(graph(agent_input("x"), late, up, agent_output("y"), links=links))
    run_id = await user.start(saved, {"x": TEXT})
    await user.until(saved, run_id, lambda run: run.statuses("late") == ["RUNNING"])
    await installation.kill_executor()
    assert (await user.ended(saved, run_id)).outputs == {"y": [TEXT.upper()]}


async def test_large_values_go_into_sub_graphs_and_out_of_them(
    user: Caller, installation: Installation
) -> None:
    nodes = (agent_input("x"), agent_output("y"))
    child = await user.save(graph(*nodes, links="x.result > y.value"))
    outcome = await user.run(shapes.around(child.model), {"x": TEXT})
    assert outcome.outputs == {"y": [TEXT]}
    assert len(await installation.rows(SELECT_VALUES, str(user.user_id))) == 1


async def test_a_person_is_asked_about_a_large_value_by_reference(
    user: Caller, installation: Installation
) -> None:
    ask = node("ask", HumanInTheLoop, name="The text")
    links = "x.result > ask.data\nask.approved_data > y.value"
    saved = await user.save(graph(agent_input("x"), ask, agent_output("y"), links=links))
    run_id = await user.start(saved, {"x": TEXT})
    (question,) = await asked(user, saved, run_id)
    (key,) = question["large_values"]
    assert question["payload"] == {"large_value": key}
    assert await user.read(f"/api/v1/values/{key}") == TEXT
    recorded = await installation.recorded(run_id, ReviewRequested)
    assert (recorded.data, recorded.large) == (None, key)
    await installation.kill_executor()
    await decide(user, question, approved=True, reviewed_data=question["payload"])
    assert (await user.ended(saved, run_id)).outputs == {"y": [TEXT]}


async def test_what_is_small_enough_stays_in_its_event(
    user: Caller, installation: Installation
) -> None:
    text = "x" * (value_limits.VALUE_INLINE_BYTES_MAX // 8)
    outcome = await user.run(graph(items("a", text), agent_output("y"), links="a.item > y.value"))
    assert outcome.outputs == {"y": [text]}
    assert await installation.rows(SELECT_VALUES, str(user.user_id)) == []
