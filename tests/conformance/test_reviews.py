"""People who are asked: about what a node asks, about what acts with consequences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domain.runs import RunSuspended
from tests.conformance import shapes
from tests.conformance.people import asked, decide, with_settings
from tests.support.api import Caller, answered
from tests.support.graphs import Document, agent_output, graph, items, node
from tests.support.installation import Installation
from tests.support.plugin_blocks import NotesItsKeyWithConsent


def acting(path: Path) -> Document:
    """An action with consequences; its value is the output `y`, its failure the output `why`."""
    links = """
        a.item > act.value
        act.output > y.value
        act.error > why.value
    """
    act = node("act", NotesItsKeyWithConsent, path=str(path))
    return graph(items("a", "done"), act, agent_output("y"), agent_output("why"), links=links)


async def test_without_safe_mode_nobody_is_asked(user: Caller) -> None:
    saved = await user.save(shapes.asking())
    await with_settings(user, saved, human_in_the_loop_safe_mode=False)
    outcome = await user.ended(saved, await user.start(saved))
    assert outcome.outputs == {"meanwhile": ["done"], "approved": [{"number": 1}]}
    assert outcome.only("ask")["review"] is None


async def test_a_run_goes_by_the_settings_of_its_start(user: Caller) -> None:
    saved = await user.save(shapes.asking())
    run_id = await user.start(saved)
    (question,) = await asked(user, saved, run_id)
    await with_settings(user, saved, human_in_the_loop_safe_mode=False)
    assert (await user.see(saved, run_id)).status == "REVIEW"
    await decide(user, question, approved=False)
    assert (await user.ended(saved, run_id)).outputs["rejected"] == [{"number": 1}]


async def test_actions_with_consequences_happen_unless_somebody_minds(
    user: Caller, shared_dir: Path
) -> None:
    outcome = await user.run(acting(shared_dir / "notes"))
    assert outcome.outputs == {"y": ["done"]}
    assert (shared_dir / "notes").read_text().split() == [outcome.only("act")["node_exec_id"]]


@pytest.mark.parametrize(
    ("approved", "outputs"), [(True, {"y": ["done"]}), (False, {"why": ["not today"]})]
)
async def test_actions_with_consequences_happen_only_with_consent(
    user: Caller, shared_dir: Path, approved: bool, outputs: Document
) -> None:
    saved = await user.save(acting(shared_dir / "notes"))
    await with_settings(user, saved, sensitive_action_safe_mode=True)
    run_id = await user.start(saved)
    (question,) = await asked(user, saved, run_id)
    assert question["payload"]["value"] == "done"
    assert not question["editable"]
    assert not (shared_dir / "notes").exists()
    await decide(user, question, approved=approved, message="not today")
    outcome = await user.ended(saved, run_id)
    assert outcome.outputs == outputs
    assert (shared_dir / "notes").exists() == approved


async def test_a_run_that_waits_for_a_person_is_in_nobodys_hands(
    user: Caller, installation: Installation
) -> None:
    saved = await user.save(shapes.asking())
    run_id = await user.start(saved)
    (question,) = await asked(user, saved, run_id)
    last = (await installation.events(run_id))[-1].event
    assert isinstance(last, RunSuspended)
    assert last.until is None
    await installation.kill_executor()
    await decide(user, question, approved=True)
    assert (await user.ended(saved, run_id)).outputs["approved"] == [{"number": 1}]


async def test_each_execution_is_decided_for_itself(user: Caller) -> None:
    saved = await user.save(shapes.asking_at_once(1, 2, 3))
    run_id = await user.start(saved)
    questions = await asked(user, saved, run_id, count=3)
    for question in questions:
        await decide(user, question, approved=question["payload"] != 2)
    outcome = await user.ended(saved, run_id)
    assert sorted(outcome.outputs["approved"]) == [1, 3]
    assert outcome.outputs["rejected"] == [2]


async def test_many_are_decided_at_once_or_none(user: Caller) -> None:
    saved = await user.save(shapes.asking_at_once(1, 2))
    run_id = await user.start(saved)
    questions = await asked(user, saved, run_id, count=2)
    items = [{"node_exec_id": one["node_exec_id"], "approved": True} for one in questions]
    wrong = [items[0], {**items[1], "reviewed_data": "x" * 1_100_000}]
    answered(await user.post("/api/review/action", {"reviews": wrong}), 400)
    assert len(await asked(user, saved, run_id, count=2)) == 2
    counted = answered(await user.post("/api/review/action", {"reviews": items}))
    assert (counted["approved_count"], counted["rejected_count"]) == (2, 0)
    assert (await user.ended(saved, run_id)).outputs == {"approved": [1, 2]}


async def test_what_may_not_be_edited_stays_as_it_is(user: Caller) -> None:
    saved = await user.save(shapes.asking(editable=False))
    run_id = await user.start(saved)
    (question,) = await asked(user, saved, run_id)
    edit: dict[str, Any] = {"node_exec_id": question["node_exec_id"], "approved": True}
    edit["reviewed_data"] = {"number": 2}
    answered(await user.post("/api/review/action", {"reviews": [edit]}), 400)
    await decide(user, question, approved=True)
    assert (await user.ended(saved, run_id)).outputs["approved"] == [{"number": 1}]


async def test_a_question_is_answered_once(user: Caller) -> None:
    saved = await user.save(shapes.asking_at_once(1, 2))
    run_id = await user.start(saved)
    first, second = await asked(user, saved, run_id, count=2)
    again = {"reviews": [{"node_exec_id": first["node_exec_id"], "approved": False}]}
    await decide(user, first, approved=True)
    answered(await user.post("/api/review/action", again), 404)
    await decide(user, second, approved=True)
    assert (await user.ended(saved, run_id)).outputs.keys() == {"approved"}
    answered(await user.post("/api/review/action", again), 409)


async def test_the_questions_of_others_are_none(user: Caller, installation: Installation) -> None:
    saved = await user.save(shapes.asking())
    run_id = await user.start(saved)
    (question,) = await asked(user, saved, run_id)
    other = await installation.user()
    theirs = {"node_exec_id": question["node_exec_id"], "approved": True}
    answered(await other.post("/api/review/action", {"reviews": [theirs]}), 404)
    answered(await other.get(f"/api/review/execution/{run_id}"), 404)
    await user.command(saved, run_id, "stop")


async def test_a_stop_answers_all_questions_with_no(user: Caller) -> None:
    saved = await user.save(shapes.asking())
    run_id = await user.start(saved)
    await asked(user, saved, run_id)
    assert (await user.command(saved, run_id, "stop"))["status"] == "TERMINATED"
    outcome = await user.ended(saved, run_id)
    assert outcome.statuses("ask") == ["TERMINATED"]
    assert outcome.only("ask")["review"]["status"] == "REJECTED"
    assert await user.read("/api/review/pending") == []
