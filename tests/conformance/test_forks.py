"""Runs that begin where others stood: what had been done there is not done again."""

from __future__ import annotations

from pathlib import Path

from domain.runs import NodeCompleted
from runtime import ids
from tests.conformance import shapes
from tests.conformance.people import asked, credits_of, decide, give, poor
from tests.support.api import Caller, answered
from tests.support.effects import Effects
from tests.support.graphs import agent_output, echo, graph, items
from tests.support.installation import Installation


async def test_a_fork_begins_at_a_node_execution_with_other_inputs(
    user: Caller, service: Effects
) -> None:
    saved = await user.save(shapes.effects_in_a_row(service.url))
    source = await user.ended(saved, await user.start(saved))
    at = {"node_exec_id": source.only("b")["node_exec_id"], "inputs": {"body_#_number": 41}}
    forked = await user.command(saved, source.run["id"], "fork", at)
    outcome = await user.ended(saved, forked["id"])
    assert outcome.outputs == {"y": [42]}
    assert outcome.only("a")["output_data"] == source.only("a")["output_data"]
    assert list(service.seen.values()) == [1, 1, 1]
    assert outcome.only("b")["node_exec_id"] in service.seen
    assert outcome.only("a")["node_exec_id"] not in service.seen
    assert outcome.run["forked_from"]["execution_id"] == source.run["id"]
    assert (await user.see(saved, source.run["id"])).outputs == {"y": [2]}


async def test_only_what_a_fork_does_itself_costs_anything(user: Caller, service: Effects) -> None:
    saved = await user.save(shapes.effects_in_a_row(service.url))
    source = await user.ended(saved, await user.start(saved))
    before = await credits_of(user)
    at = {"node_exec_id": source.only("b")["node_exec_id"]}
    forked = await user.command(saved, source.run["id"], "fork", at)
    outcome = await user.ended(saved, forked["id"])
    assert outcome.run["stats"]["cost"] == 1
    assert await credits_of(user) == before - 1


async def test_a_fork_begins_at_a_version(
    user: Caller, installation: Installation, service: Effects
) -> None:
    saved = await user.save(shapes.effects_in_a_row(service.url))
    source = (await user.ended(saved, await user.start(saved))).run["id"]
    events = await installation.events(source)
    done = [entry.version for entry in events if isinstance(entry.event, NodeCompleted)]
    behind_a = done[1]
    forked = await user.command(saved, source, "fork", {"version": behind_a})
    assert forked["forked_from"] == {"execution_id": source, "version": behind_a}
    outcome = await user.ended(saved, forked["id"])
    assert outcome.outputs == {"y": [2]}
    assert list(service.seen.values()) == [1, 1, 1]


async def test_a_fork_may_have_other_inputs_of_the_run_until_they_are_used(user: Caller) -> None:
    saved = await user.save(echo())
    source = await user.start(saved, {"x": "first"})
    await user.ended(saved, source)
    forked = await user.command(saved, source, "fork", {"version": 1, "inputs": {"x": "second"}})
    outcome = await user.ended(saved, forked["id"])
    assert outcome.outputs == {"y": ["second"]}
    assert outcome.run["inputs"] == {"x": "second"}
    late = {"version": outcome.run["version"] - 1, "inputs": {"x": "third"}}
    refused = await user.post(f"{saved.run_path(outcome.run['id'])}/fork", late)
    assert answered(refused, 400)["message"].startswith("the input 'x' was used before")


async def test_a_fork_can_be_forked(user: Caller, service: Effects) -> None:
    saved = await user.save(shapes.effects_in_a_row(service.url))
    outcome = await user.ended(saved, await user.start(saved))
    for number in (10, 20):
        at = {
            "node_exec_id": outcome.only("b")["node_exec_id"],
            "inputs": {"body_#_number": number},
        }
        forked = await user.command(saved, outcome.run["id"], "fork", at)
        outcome = await user.ended(saved, forked["id"])
        assert outcome.outputs == {"y": [number + 1]}
        assert outcome.only("a")["output_data"] == {"response": [{"number": 1}]}
    assert list(service.seen.values()) == [1, 1, 1, 1]


async def test_a_fork_before_a_question_asks_again(user: Caller) -> None:
    saved = await user.save(shapes.asking())
    run_id = await user.start(saved)
    (question,) = await asked(user, saved, run_id)
    await decide(user, question, approved=False)
    source = await user.ended(saved, run_id)
    at = {"node_exec_id": source.only("ask")["node_exec_id"]}
    forked = await user.command(saved, run_id, "fork", at)
    (again,) = await asked(user, saved, forked["id"])
    await decide(user, again, approved=True)
    outcome = await user.ended(saved, forked["id"])
    assert outcome.outputs == {"meanwhile": ["done"], "approved": [{"number": 1}]}


async def test_a_fork_has_a_place_that_exists(user: Caller) -> None:
    saved = await user.save(echo())
    run_id = (await user.ended(saved, await user.start(saved, {"x": 1}))).run["id"]
    path = f"{saved.run_path(run_id)}/fork"
    answered(await user.post(path, {}), 400)
    answered(await user.post(path, {"version": 0}), 400)
    answered(await user.post(path, {"version": 99}), 400)
    answered(await user.post(path, {"node_exec_id": str(ids.new_id())}), 404)


async def test_a_retry_runs_again_what_failed_and_nothing_else(
    user: Caller, service: Effects, shared_dir: Path
) -> None:
    """The service that the second effect needs is away at first."""
    saved = await user.save(shapes.effect_then_flaky(service.url, shared_dir / "attempts"))
    failed = await user.ended(saved, await user.start(saved))
    assert failed.run["outcome"] == "completed_with_errors"
    assert failed.statuses("f") == ["FAILED"]
    retried = await user.command(saved, failed.run["id"], "retry")
    outcome = await user.ended(saved, retried["id"])
    assert outcome.outputs == {"y": [2]}
    assert (outcome.run["outcome"], outcome.statuses("f")) == ("completed", ["COMPLETED"])
    assert list(service.seen.values()) == [1]
    assert (shared_dir / "attempts").stat().st_size == 2
    assert (await user.see(saved, failed.run["id"])).statuses("f") == ["FAILED"]


async def test_a_retry_takes_up_what_a_stop_cut_off(user: Caller, service: Effects) -> None:
    saved = await user.save(shapes.effects_in_a_row(service.url))
    with service.held():
        run_id = await user.start(saved)
        await service.asked(1)
        await user.command(saved, run_id, "stop")
    retried = await user.command(saved, run_id, "retry")
    assert (await user.ended(saved, retried["id"])).outputs == {"y": [2]}


async def test_a_run_that_failed_for_want_of_credits_goes_on_with_more(
    installation: Installation, service: Effects
) -> None:
    user = await poor(installation, 1)
    saved = await user.save(shapes.effects_in_turns(service.url, turns=3), source="upload")
    failed = await user.ended(saved, await user.start(saved))
    assert (failed.status, failed.statuses("a")) == ("FAILED", ["COMPLETED", "FAILED"])
    await give(installation, user, 2)
    retried = await user.command(saved, failed.run["id"], "retry")
    outcome = await user.ended(saved, retried["id"])
    assert (outcome.status, outcome.outputs) == ("COMPLETED", {"y": [3]})
    assert list(service.seen.values()) == [1, 1, 1]
    assert await credits_of(user) == 0


async def test_what_went_well_is_not_retried(user: Caller) -> None:
    saved = await user.save(echo())
    run_id = (await user.ended(saved, await user.start(saved, {"x": 1}))).run["id"]
    refused = answered(await user.post(f"{saved.run_path(run_id)}/retry"), 409)
    assert refused["message"].startswith("there is nothing to retry")


async def test_what_has_not_ended_is_not_retried(user: Caller) -> None:
    links = "n.output > y.value"
    saved = await user.save(graph(shapes.waiting("n"), agent_output("y"), links=links))
    run_id = await user.start(saved)
    answered(await user.post(f"{saved.run_path(run_id)}/retry"), 409)
    await user.command(saved, run_id, "stop")


async def test_the_runs_of_others_are_not_forked(user: Caller, installation: Installation) -> None:
    saved = await user.save(graph(items("a", 1)))
    run_id = (await user.ended(saved, await user.start(saved))).run["id"]
    other = await installation.user()
    answered(await other.post(f"{saved.run_path(run_id)}/fork", {"version": 1}), 404)
    answered(await other.post(f"{saved.run_path(run_id)}/retry"), 404)
