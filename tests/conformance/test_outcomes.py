"""What a run shows of itself: how it went, what waits in vain, how it was, all of its nodes."""

from __future__ import annotations

from datetime import timedelta

from blocks.logic import Calculator, CountItems
from domain.limits import request_limits
from tests.conformance import shapes
from tests.support.api import Caller, answered
from tests.support.graphs import agent_output, echo, graph, items, node
from tests.support.installation import Installation

EXECUTIONS = 3_000


async def test_a_run_without_errors_in_which_nothing_waits_is_completed(user: Caller) -> None:
    outcome = await user.run(echo(), {"x": 1})
    assert outcome.run["outcome"] == "completed"
    assert (outcome.run["waiting"], outcome.run["waiting_count"]) == ([], 0)


async def test_a_run_with_an_error_says_so(user: Caller) -> None:
    nodes = (shapes.failing("f"), agent_output("y"))
    outcome = await user.run(graph(*nodes, links="f.error > y.value"))
    assert (outcome.status, outcome.run["outcome"]) == ("COMPLETED", "completed_with_errors")


async def test_a_run_that_did_not_complete_has_no_outcome(user: Caller) -> None:
    outcome = await user.run(shapes.endless(), budget={"steps": 5})
    assert (outcome.status, outcome.run["outcome"]) == ("FAILED", None)


async def test_what_waits_in_vain_says_what_it_lacks(user: Caller) -> None:
    saved = await user.save(shapes.joined(items("a", "a1", "a2", "a3"), items("b", "b1")))
    outcome = await user.ended(saved, await user.start(saved))
    assert (outcome.status, outcome.run["outcome"]) == ("COMPLETED", "dead_ended")
    assert outcome.run["waiting_count"] == 2
    assert outcome.run["waiting"] == [
        {
            "node_exec_id": execution["node_exec_id"],
            "node_id": saved.ids["s"],
            "block_id": execution["block_id"],
            "lacks": ["input_$_1"],
            "has": ["input_$_0"],
            "problems": {},
        }
        for execution in outcome.executions["s"][1:]
    ]


async def test_values_that_do_not_do_are_named(user: Caller) -> None:
    add = node("add", Calculator, a=1, b=1)
    saved = await user.save(graph(items("a", "Root"), add, links="a.item > add.operation"))
    outcome = await user.ended(saved, await user.start(saved))
    (waiting,) = outcome.run["waiting"]
    assert (waiting["lacks"], waiting["has"]) == ([], ["operation"])
    assert waiting["problems"]["operation"].startswith("must be one of ")
    assert outcome.run["outcome"] == "dead_ended"


async def test_nodes_that_nothing_reached_are_listed(user: Caller) -> None:
    links = """
        a.key > y.value
        f.processed_text > never.value
        f.metadata > never.name
    """
    nodes = (items("a"), agent_output("y"), shapes.failing("f"), agent_output("never"))
    saved = await user.save(graph(*nodes, links=links))
    outcome = await user.ended(saved, await user.start(saved))
    found = {one["node_id"]: (one["node_exec_id"], one["lacks"]) for one in outcome.run["waiting"]}
    assert found == {
        saved.ids["y"]: (None, ["value"]),
        saved.ids["never"]: (None, ["value", "name"]),
    }


async def test_a_run_is_shown_as_it_was_at_a_version(
    user: Caller, installation: Installation
) -> None:
    saved = await user.save(shapes.joined(items("a", "a1", "a2"), items("b", "b1", "b2")))
    run_id = await user.start(saved)
    await user.ended(saved, run_id)
    versions = [entry.version for entry in await installation.events(run_id)]
    past = [await user.see(saved, run_id, as_of=version) for version in versions]
    assert [shown.run["version"] for shown in past] == versions
    assert [past[at].status for at in (0, 1, -1)] == ["QUEUED", "RUNNING", "COMPLETED"]
    assert past[0].outputs == past[1].outputs == {}
    assert past[-1].outputs == {"y": ["a1-b1", "a2-b2"]}
    done = [sum(s == "COMPLETED" for n in one.executions for s in one.statuses(n)) for one in past]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 6)
    answered(await user.get(f"{saved.run_path(run_id)}?as_of={versions[-1] + 1}"), 404)


async def test_a_run_is_shown_as_it_was_at_a_time(user: Caller, installation: Installation) -> None:
    saved = await user.save(shapes.joined(items("a", "a1"), items("b", "b1")))
    run_id = await user.start(saved)
    now = await user.ended(saved, run_id)
    created, *_, ended = await installation.events(run_id)
    moments = [created.recorded_at, ended.recorded_at]
    first, last = [await user.see(saved, run_id, as_of=at.isoformat()) for at in moments]
    assert (first.status, first.run["version"]) == ("QUEUED", 1)
    assert last == now
    before = (created.recorded_at - timedelta(microseconds=1)).isoformat()
    query = before.replace("+", "%2B")
    answered(await user.get(f"{saved.run_path(run_id)}?as_of={query}"), 404)
    answered(await user.get(f"{saved.run_path(run_id)}?as_of=yesterday"), 400)


async def test_a_long_run_is_shown_whole_in_pages(user: Caller) -> None:
    nodes = (items("each", *range(EXECUTIONS - 1)), node("count", CountItems))
    saved = await user.save(graph(*nodes, links="each.item > count.collection"))
    run_id = await user.start(saved)
    whole = await user.ended(saved, run_id)
    assert EXECUTIONS <= request_limits.EXECUTIONS_PAGE
    paged = await user.see(saved, run_id, limit=999)
    for shown in (whole, paged):
        ids = [one["node_exec_id"] for one in shown.run["node_executions"]]
        assert len(ids) == len(set(ids)) == EXECUTIONS
        assert shown.statuses("count") == ["COMPLETED"] * (EXECUTIONS - 1)
    assert paged.executions == whole.executions
