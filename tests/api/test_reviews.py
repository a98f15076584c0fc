"""What runs ask people: the lists of questions, and the answers that are taken."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from domain.limits import run_limits
from domain.runs import (
    ReviewDecided,
    ReviewReason,
    ReviewRequested,
    RunStats,
    RunSuspended,
    RunTerminated,
)
from runtime import ids
from tests.support.api import Caller, Platform, Saved, answered
from tests.support.graphs import Document, agent_output, graph, items
from tests.support.log import whole_stream
from tests.support.written import CLAIM, WrittenRun, begun

SPREAD = graph(items("a", 1), agent_output("y"), links="a.item > y.value")
ACTION = "/api/v1/review/action"
PENDING = "/api/v1/review/pending"
MODEL = {
    *("node_exec_id", "node_id", "user_id", "graph_exec_id", "graph_id", "graph_version"),
    *("payload", "instructions", "editable", "status", "review_message", "was_edited"),
    *("processed", "created_at", "updated_at", "reviewed_at", "large_values"),
}


@pytest.fixture
async def saved(author: Caller) -> Saved:
    return await author.save(SPREAD)


async def asking(
    still: Platform, author: Caller, saved: Saved, *payloads: Any, editable: bool = True
) -> WrittenRun:
    """A run whose executions of `y`, from number 1 on, ask about these."""
    run = await begun(still.log, author, saved)
    spread = run.completed(0, "a", *(("item", 0) for _ in payloads))
    asked = [
        ReviewRequested(number, run.node("y"), "Letter", payload, ReviewReason.ASKED, editable)
        for number, payload in enumerate(payloads, start=1)
    ]
    await run.append(CLAIM, spread, *asked, RunSuspended(RunStats()))
    return run


async def pending(still: Platform, author: Caller, query: str = "") -> list[Document]:
    at_least = {"At-Least": str(await still.head())}
    found: list[Document] = await author.read(f"{PENDING}{query}", **at_least)
    return found


def item(run: WrittenRun, number: int, *, approved: bool = True, **members: Any) -> Document:
    return {"node_exec_id": run.execution_id(number), "approved": approved, **members}


async def decisions(still: Platform, run: WrittenRun) -> list[ReviewDecided]:
    entries = await whole_stream(still.log, run.stream)
    return [entry.event for entry in entries if isinstance(entry.event, ReviewDecided)]


# --- lists -------------------------------------------------------------------------------------
async def test_what_runs_ask_is_listed(still: Platform, author: Caller, saved: Saved) -> None:
    run = await asking(still, author, saved, {"subject": "Hello"})
    [question] = await pending(still, author)
    assert question.keys() == MODEL
    assert question["node_exec_id"] == str(UUID(run.execution_id(1)))
    assert (question["graph_exec_id"], question["graph_id"]) == (run.run_id, saved.graph_id)
    assert (question["node_id"], question["graph_version"]) == (run.node("y"), 1)
    assert (question["payload"], question["instructions"]) == ({"subject": "Hello"}, "Letter")
    assert (question["status"], question["editable"]) == ("WAITING", True)
    assert question["user_id"] == run.owner
    assert (question["processed"], question["reviewed_at"]) == (False, None)
    assert await author.read(f"/api/v1/review/execution/{run.run_id}") == [question]
    assert (await run.shown())["status"] == "REVIEW"


async def test_questions_come_newest_first_and_in_pages(
    still: Platform, author: Caller, saved: Saved
) -> None:
    runs = [await asking(still, author, saved, number) for number in range(5)]
    listed = [question["payload"] for question in await pending(still, author)]
    assert listed == [4, 3, 2, 1, 0]
    pages = [await pending(still, author, f"?page={page}&page_size=2") for page in (1, 2, 3, 4)]
    assert [[q["payload"] for q in page] for page in pages] == [[4, 3], [2, 1], [0], []]
    for number, run in enumerate(runs):
        [question] = await author.read(f"/api/v1/review/execution/{run.run_id}")
        assert question["payload"] == number


async def test_a_run_that_ends_asks_no_more(still: Platform, author: Caller, saved: Saved) -> None:
    run = await asking(still, author, saved, 1)
    assert len(await pending(still, author)) == 1
    await run.append(RunTerminated(RunStats()))
    assert await pending(still, author) == []
    refused = answered(await author.post(ACTION, {"reviews": [item(run, 1)]}), 409)
    assert refused["message"] == "the run has ended: it is TERMINATED"


async def test_the_questions_of_a_run_come_in_pages(
    still: Platform, author: Caller, saved: Saved
) -> None:
    run = await asking(still, author, saved, "a", "b", "c")
    assert len(await pending(still, author)) == 3
    path = f"/api/v1/review/execution/{run.run_id}"
    for query, payloads in (
        ("", ["a", "b", "c"]),
        ("?page_size=2", ["a", "b"]),
        ("?page=2&page_size=2", ["c"]),
    ):
        assert [one["payload"] for one in await author.read(path + query)] == payloads


@pytest.mark.parametrize("page", ["page=0", "page_size=0", "page_size=101", "page=x"])
async def test_pages_have_bounds(still: Platform, author: Caller, saved: Saved, page: str) -> None:
    run = await begun(still.log, author, saved)
    for path in (PENDING, f"/api/v1/review/execution/{run.run_id}"):
        answered(await author.get(f"{path}?{page}"), 400)


async def test_an_unknown_run_asks_nothing(author: Caller) -> None:
    unknown = str(ids.new_id())
    refused = answered(await author.get(f"/api/v1/review/execution/{unknown}"), 404)
    assert refused["message"] == f"Execution {unknown} not found"


# --- answers -----------------------------------------------------------------------------------
async def test_answers_are_taken_together(still: Platform, author: Caller, saved: Saved) -> None:
    run = await asking(still, author, saved, "a", "b", "c", "d")
    response = await author.post(
        ACTION,
        {
            "reviews": [
                item(run, 3, reviewed_data={"better": True}, message="so"),
                item(run, 1),
                item(run, 2, approved=False, message="no"),
            ]
        },
    )
    counts = {"approved_count": 2, "rejected_count": 1, "failed_count": 0, "error": None}
    assert answered(response) == counts
    edited, approved, rejected = await decisions(still, run)
    assert (edited.execution, edited.approved, edited.edited) == (3, True, True)
    assert (edited.data, edited.message) == ({"better": True}, "so")
    assert (approved.execution, approved.edited, approved.message) == (1, False, "")
    assert (rejected.execution, rejected.approved, rejected.message) == (2, False, "no")
    [left] = await author.read(PENDING)
    assert left["payload"] == "d"
    reviews = [e["review"] for e in (await run.shown())["node_executions"][1:]]
    shown = [(review["status"], review["was_edited"]) for review in reviews]
    expected = [("APPROVED", False), ("REJECTED", False), ("APPROVED", True), ("WAITING", None)]
    assert shown == expected


async def test_an_answer_for_the_future_leaves_the_data(
    still: Platform, author: Caller, saved: Saved
) -> None:
    run = await asking(still, author, saved, "a")
    always = item(run, 1, auto_approve_future=True, reviewed_data="b")
    answered(await author.post(ACTION, {"reviews": [always]}))
    [decided] = await decisions(still, run)
    assert (decided.auto_approve, decided.edited) == (True, False)


async def test_a_question_that_the_list_does_not_know_yet_can_be_answered(
    still: Platform, author: Caller, saved: Saved
) -> None:
    """The run's page is ahead of the lists."""
    for _ in range(5):
        run = await asking(still, author, saved, "a")
        [_, asked] = (await run.shown())["node_executions"]
        answer = {"node_exec_id": asked["node_exec_id"], "approved": True}
        answered(await author.post(ACTION, {"reviews": [answer]}))


async def test_a_question_is_answered_once(still: Platform, author: Caller, saved: Saved) -> None:
    run = await asking(still, author, saved, "a")
    body = {"reviews": [item(run, 1)]}
    responses = await asyncio.gather(*(author.post(ACTION, body) for _ in range(6)))
    assert sorted(response.status_code for response in responses) == [200, *[404] * 5]
    assert len(await decisions(still, run)) == 1


async def test_answers_under_a_key_are_taken_once(
    still: Platform, author: Caller, saved: Saved
) -> None:
    run = await asking(still, author, saved, "a", "b")
    key, body = ids.new_id().hex, {"reviews": [item(run, 1), item(run, 2, approved=False)]}
    first, again = [await author.post(ACTION, body, Idempotency_Key=key) for _ in range(2)]
    assert answered(again) == answered(first)
    assert len(await decisions(still, run)) == 2


async def test_answers_to_several_runs_are_refused(
    still: Platform, author: Caller, saved: Saved
) -> None:
    one, other = [await asking(still, author, saved, "a") for _ in range(2)]
    head = await still.head()
    body = {"reviews": [item(one, 1), item(other, 1)]}
    refused = answered(await author.post(ACTION, body), 409)
    assert refused["message"] == "All reviews must belong to the same execution"
    assert await still.head() == head


async def test_one_answer_that_is_refused_refuses_all(
    still: Platform, author: Caller, saved: Saved
) -> None:
    run = await asking(still, author, saved, "a", "b", editable=False)
    deep: Any = 1
    for _ in range(run_limits.REVIEW_DATA_DEPTH_MAX + 1):
        deep = [deep]
    head = await still.head()
    for bad, status in (
        (item(run, 3), 404),
        ({"node_exec_id": "none", "approved": True}, 404),
        ({"node_exec_id": "\x00", "approved": True}, 400),
        (item(run, 1), 400),
        (item(run, 2, reviewed_data="c"), 400),
        (item(run, 2, reviewed_data=deep), 400),
        (item(run, 2, reviewed_data="x" * run_limits.REVIEW_DATA_BYTES_MAX), 400),
        (item(run, 2, message="x" * (run_limits.REVIEW_MESSAGE_CHARS_MAX + 1)), 400),
        ({**item(run, 2), "approved": "maybe"}, 400),
        ({"approved": True}, 400),
    ):
        refused = answered(await author.post(ACTION, {"reviews": [item(run, 1), bad]}), status)
        assert refused["message"]
        assert await still.head() == head, bad


@pytest.mark.parametrize("body", [{}, {"reviews": []}, {"reviews": None}, [], None])
async def test_nothing_is_no_answer(still: Platform, author: Caller, body: Any) -> None:
    head = await still.head()
    answered(await author.post(ACTION, body), 400)
    assert await still.head() == head


async def test_many_answers_are_too_many(author: Caller) -> None:
    many = [{"node_exec_id": str(n), "approved": True} for n in range(501)]
    refused = answered(await author.post(ACTION, {"reviews": many}), 400)
    assert refused["message"] == "At most 500 reviews are decided at once"


async def test_the_largest_data_is_taken(still: Platform, author: Caller, saved: Saved) -> None:
    run = await asking(still, author, saved, "a")
    largest = "x" * (run_limits.REVIEW_DATA_BYTES_MAX - 2)
    answered(await author.post(ACTION, {"reviews": [item(run, 1, reviewed_data=largest)]}))
    [decided] = await decisions(still, run)
    assert decided.data == largest


@pytest.mark.holds("S12")
async def test_the_questions_of_others_are_not_there(
    still: Platform, author: Caller, saved: Saved
) -> None:
    run = await asking(still, author, saved, "a")
    stranger = await still.user()
    assert await pending(still, stranger) == []
    answered(await stranger.get(f"/api/v1/review/execution/{run.run_id}"), 404)
    refused = answered(await stranger.post(ACTION, {"reviews": [item(run, 1)]}), 404)
    assert refused["message"] == f"Review {run.execution_id(1)} not found"
    assert await decisions(still, run) == []
