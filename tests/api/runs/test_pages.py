"""A run in full: its node executions in pages, the run as it was, and what it waits for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from blocks.io import AgentOutput
from blocks.logic import Calculator, Condition
from domain import large_values, runs
from domain.limits import request_limits, value_limits
from domain.runs import (
    ChildStarted,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    Parent,
    ReviewDecided,
    ReviewReason,
    ReviewRequested,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunPaused,
    RunResumed,
    RunStats,
    RunSuspended,
    RunTerminated,
)
from runtime import clock, ids
from runtime.eventlog.log import Origin, StreamWrite
from tests.support.api import Caller, Platform, answered
from tests.support.graphs import Document, agent_output, echo, graph, items, node
from tests.support.log import whole_stream
from tests.support.written import CLAIM, WrittenRun, begun

SPREAD = graph(items("a", 1), agent_output("y"), links="a.item > y.value")
"""Each item becomes an execution of `y`."""
SUM = graph(
    items("a", 1),
    items("b", 2),
    node("sum", Calculator, operation="Add"),
    agent_output("y"),
    links="""
        a.item > sum.a
        b.item > sum.b
        sum.result > y.value
    """,
)


async def spread(still: Platform, author: Caller, count: int) -> WrittenRun:
    """A run with `count` executions of `y` after the one of `a`."""
    run = await begun(still.log, author, await author.save(SPREAD))
    await run.append(CLAIM, run.completed(0, "a", *(("item", number) for number in range(count))))
    return run


def numbers(run: WrittenRun, page: Document) -> list[int]:
    """Which executions a page has."""
    ids_of = {run.execution_id(number): number for number in range(100)}
    return [ids_of[execution["node_exec_id"]] for execution in page["node_executions"]]


# --- pages -------------------------------------------------------------------------------------
async def test_node_executions_come_in_pages_and_outputs_whole(
    still: Platform, author: Caller
) -> None:
    run = await spread(still, author, 7)
    await run.append(*(run.completed(n, "y", ("output", n)) for n in range(1, 5)))
    whole = await run.shown()
    assert (numbers(run, whole), whole["next_after"]) == (list(range(8)), None)
    executions, after = [], 0
    while after is not None:
        page = await run.shown(after=after, limit=3)
        assert {**page, "node_executions": [], "next_after": None} == {
            **whole,
            "node_executions": [],
        }
        executions += page["node_executions"]
        after = page["next_after"]
    assert executions == whole["node_executions"]
    assert whole["outputs"] == {"y": list(range(7))}


async def test_a_page_ends_where_the_run_does(still: Platform, author: Caller) -> None:
    run = await spread(still, author, 3)
    for after, limit, shown, next_after in (
        (0, 4, [0, 1, 2, 3], None),
        (0, 3, [0, 1, 2], 3),
        (3, 1, [3], None),
        (4, 1, [], None),
        (value_limits.JSON_INTEGER_MAX, request_limits.EXECUTIONS_PAGE, [], None),
    ):
        page = await run.shown(after=after, limit=limit)
        assert (numbers(run, page), page["next_after"]) == (shown, next_after)


async def test_a_client_that_knows_no_pages_sees_all_but_the_longest_runs(
    still: Platform, author: Caller
) -> None:
    run = await spread(still, author, request_limits.EXECUTIONS_PAGE)
    page = await run.shown()
    assert len(page["node_executions"]) == request_limits.EXECUTIONS_PAGE == page["next_after"]
    assert page["outputs"] == {"y": list(range(request_limits.EXECUTIONS_PAGE))}


# --- the run as it was -------------------------------------------------------------------------
async def test_a_run_is_shown_as_it_was_at_each_version(still: Platform, author: Caller) -> None:
    run = await begun(still.log, author, await author.save(SUM))
    then = [await run.shown()]
    for event in (
        CLAIM,
        run.completed(0, "a", ("item", 1)),
        RunPaused(),
        NodeStarted(1, run.node("b")),
        RunClaimed(worker="test/2"),
        NodeStarted(1, run.node("b"), attempt=2, repeats=True),
        run.completed(1, "b", ("item", 2)),
        RunResumed(),
        run.completed(2, "sum", ("result", 3)),
        run.completed(3, "y", ("output", 3), ("name", "y")),
        RunCompleted(RunStats(steps=4, nodes_us=20, wall_us=99)),
    ):
        await run.append(event)
        then.append(await run.shown())
    assert [page["version"] for page in then] == list(range(1, 13))
    for page in then:
        assert await run.shown(as_of=page["version"]) == page
    moments = [entry.recorded_at for entry in await whole_stream(still.log, run.stream)]
    for page, moment in zip(then, moments, strict=True):
        assert await run.shown(as_of=moment.isoformat().replace("+00:00", "Z")) == page
    later = (clock.now() + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    assert await run.shown(as_of=later) == then[-1]


async def test_a_run_is_not_found_outside_of_its_life(still: Platform, author: Caller) -> None:
    run = await spread(still, author, 1)
    for as_of, message in (
        ("0", "did not exist then"),
        ("2020-01-01T00:00:00Z", "did not exist then"),
        ("4", "has no version 4"),
        (str(10**18), f"has no version {10**18}"),
    ):
        refused = answered(await author.get(f"{run.path}?as_of={as_of}"), 404)
        assert refused["message"] == f"Execution {run.run_id} {message}"


@pytest.mark.parametrize(
    "as_of", ["", "-1", "1.5", "now", "2026-01-31", "2026-01-31T12:00:00", "9" * 20, "9" * 5_000]
)
async def test_a_moment_is_a_version_or_a_time(still: Platform, author: Caller, as_of: str) -> None:
    run = await spread(still, author, 1)
    refused = answered(await author.get(f"{run.path}?as_of={as_of}"), 400)
    assert refused["message"].startswith("as_of must be a version, or a time with its offset")


# --- why a node did not run --------------------------------------------------------------------
async def test_what_waits_says_for_what(still: Platform, author: Caller) -> None:
    saved = await author.save(SUM)
    run = await begun(still.log, author, saved)
    block = {"node_id": run.node("sum"), "block_id": Calculator.id}
    unreached: Document = {
        "node_exec_id": None,
        "node_id": run.node("y"),
        "block_id": AgentOutput.id,
        "lacks": ["value"],
        "has": [],
        "problems": {},
    }
    page = await run.shown()
    lacks_all = {**unreached, **block, "lacks": ["a", "b"]}
    assert (page["waiting"], page["waiting_count"]) == ([lacks_all, unreached], 2)
    await run.append(
        CLAIM,
        run.completed(0, "a", ("item", 1)),
        run.completed(1, "b"),
        RunCompleted(RunStats(steps=2, waiting=1)),
    )
    page = await run.shown()
    lacks_one = {**lacks_all, "node_exec_id": run.execution_id(2), "lacks": ["b"], "has": ["a"]}
    assert (page["waiting"], page["waiting_count"]) == ([lacks_one, unreached], 2)
    assert (page["status"], page["outcome"]) == ("COMPLETED", "dead_ended")


async def test_values_that_do_not_do_are_explained(still: Platform, author: Caller) -> None:
    compare = node("if", Condition, value1=1, value2=2)
    document = graph(items("a", "?"), compare, links="a.item > if.operator")
    run = await begun(still.log, author, await author.save(document))
    await run.append(CLAIM, run.completed(0, "a", ("item", "?")))
    [waiting] = (await run.shown())["waiting"]
    assert (waiting["node_exec_id"], waiting["lacks"]) == (run.execution_id(1), [])
    assert waiting["has"] == ["operator"]
    assert waiting["problems"].keys() == {"operator"}


async def test_what_waits_is_listed_up_to_a_bound(
    still: Platform, author: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await begun(still.log, author, await author.save(SUM))
    await run.append(CLAIM, run.completed(0, "a", *(("item", number) for number in range(5))))
    for most, shown in ((9, 6), (6, 6), (5, 5), (2, 2)):
        monkeypatch.setattr(request_limits, "WAITING_LISTED_MAX", most)
        page = await run.shown()
        assert (len(page["waiting"]), page["waiting_count"]) == (shown, 6)


async def test_what_waits_is_listed_until_many_pins_have_been_named(
    still: Platform, author: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await begun(still.log, author, await author.save(SUM))
    await run.append(CLAIM, run.completed(0, "a", *(("item", number) for number in range(5))))
    listed = (await run.shown())["waiting"]
    pins = [len(waiting["lacks"]) + len(waiting["has"]) for waiting in listed]
    for most, shown in ((sum(pins), 6), (sum(pins[:3]), 3), (sum(pins[:3]) + 1, 4), (1, 1)):
        monkeypatch.setattr(request_limits, "WAITING_PINS_MAX", most)
        page = await run.shown()
        assert (len(page["waiting"]), page["waiting_count"]) == (shown, 6)


async def test_a_run_without_loose_ends_waits_for_nothing(still: Platform, author: Caller) -> None:
    run = await begun(still.log, author, await author.save(echo()), {"x": 1})
    await run.append(CLAIM, run.completed(0, "x", ("result", 1)), run.completed(1, "y"))
    page = await run.shown()
    assert (page["waiting"], page["waiting_count"], page["outcome"]) == ([], 0, None)
    await run.append(RunCompleted(RunStats(steps=2)))
    assert (await run.shown())["outcome"] == "completed"


# --- what happened to a node -------------------------------------------------------------------
async def test_an_effect_in_doubt_is_told_apart(still: Platform, author: Caller) -> None:
    run = await spread(still, author, 2)
    y = run.node("y")
    until = clock.now()
    await run.append(
        NodeStarted(1, y),
        NodeStarted(2, y),
        RunClaimed(worker="test/2"),
        NodeStarted(1, y, attempt=2, repeats=True),
        NodeRetried(2, y, attempt=1, error="busy", elapsed_us=1, until=until),
    )
    [_, doubtful, retried] = (await run.shown())["node_executions"]
    assert (doubtful["attempt"], doubtful["repeated"], doubtful["error"]) == (2, True, None)
    assert (retried["attempt"], retried["repeated"], retried["error"]) == (1, False, "busy")
    assert retried["waits_until"] == until.isoformat().replace("+00:00", "Z")
    await run.append(NodeFailed(2, y, "no", elapsed_us=1))
    [*_, failed] = (await run.shown())["node_executions"]
    assert (failed["status"], failed["error"]) == ("FAILED", "no")
    assert failed["output_data"] == {"error": ["no"]}


async def test_what_a_node_waits_for_is_shown(still: Platform, author: Caller) -> None:
    run = await spread(still, author, 2)
    y, child = run.node("y"), str(ids.new_id())
    until = clock.now() + timedelta(hours=1)
    await run.append(NodeDeferred(1, y, until), ChildStarted(2, y, child))
    [_, deferred, parent] = (await run.shown())["node_executions"]
    assert deferred["waits_until"] == until.isoformat().replace("+00:00", "Z")
    assert (deferred["status"], deferred["child_execution_id"]) == ("RUNNING", None)
    assert (parent["status"], parent["child_execution_id"]) == ("RUNNING", child)


async def test_a_question_is_shown_with_its_answer(still: Platform, author: Caller) -> None:
    run = await spread(still, author, 2)
    y = run.node("y")
    question: Document = {
        "name": "Letter",
        "reason": "sensitive",
        "editable": True,
        "status": "WAITING",
        "message": None,
        "was_edited": None,
    }
    for number in (1, 2):
        asked = ReviewRequested(number, y, "Letter", 1, ReviewReason.SENSITIVE, editable=True)
        await run.append(asked)
    await run.append(RunSuspended(RunStats()))
    page = await run.shown()
    assert page["status"] == "REVIEW"
    assert [e["status"] for e in page["node_executions"]] == ["COMPLETED", "REVIEW", "REVIEW"]
    assert [e["review"] for e in page["node_executions"]] == [None, question, question]
    answer = ReviewDecided(1, y, approved=True, data=2, message="fine", edited=True)
    await run.append(answer, RunTerminated(RunStats()))
    [_, answered_one, cut_off] = (await run.shown())["node_executions"]
    approved = {"status": "APPROVED", "message": "fine", "was_edited": True}
    assert answered_one["review"] == question | approved
    assert (cut_off["status"], cut_off["review"]["status"]) == ("TERMINATED", "REJECTED")


async def test_large_values_are_shown_whole(still: Platform, author: Caller) -> None:
    large = ["x" * value_limits.VALUE_INLINE_BYTES_MAX, {"small": 1}]
    run = await begun(still.log, author, await author.save(SPREAD))
    outputs = [("item", large[0]), ("item", large[1])]
    hashes, values = large_values.take_out(enumerate(value for _, value in outputs))
    assert hashes.keys() == {0}
    await still.log.values.put(run.owner, list(values.values()))
    kept = large_values.without(outputs, hashes)
    await run.append(CLAIM, NodeCompleted(0, run.node("a"), kept, 5, large=hashes))
    page = await run.shown()
    assert page["outputs"] == {"y": large}
    assert page["node_executions"][0]["output_data"] == {"item": large}
    assert [e["input_data"]["value"] for e in page["node_executions"][1:]] == large


# --- the whole and its parts -------------------------------------------------------------------
async def test_a_parent_adds_up_its_sub_graphs(still: Platform, author: Caller) -> None:
    run = await spread(still, author, 1)
    child = RunStats(steps=5, errors=1, cost=4, nodes_us=70)
    await run.append(
        ChildStarted(1, run.node("y"), str(ids.new_id())),
        NodeCompleted(1, run.node("y"), [("output", 1)], 10, cost=2, child=child),
    )
    stats = (await run.shown())["stats"]
    assert (stats["node_exec_count"], stats["cost"]) == (7, 6)


async def test_a_child_names_its_parent(still: Platform, author: Caller) -> None:
    saved = await author.save(SPREAD)
    parent = await begun(still.log, author, saved)
    child = WrittenRun(still.log, author, saved, parent.execution_id(1))
    created = RunCreated(
        user_id=child.owner,
        graph_id=saved.graph_id,
        graph_version=1,
        inputs={},
        steps_max=10,
        parent=Parent(parent.run_id, 1, depth=1),
    )
    write = StreamWrite.of(runs.stream_of(child.run_id), 0, [created])
    await still.log.append([write], Origin(owner=child.owner, actor="worker:test"))
    assert (await child.shown())["parent_execution_id"] == parent.run_id
    assert (await parent.shown())["parent_execution_id"] is None
    at_least = {"At-Least": str(await still.head())}
    listed = await author.read("/api/v1/executions", **at_least)
    parents = {one["id"]: one["parent_execution_id"] for one in listed}
    assert parents == {child.run_id: parent.run_id, parent.run_id: None}
