"""Runs that are paused, resumed and stopped, wherever they are."""

from __future__ import annotations

import asyncio

from domain.runs import RunSuspended
from tests.conformance import shapes
from tests.support.api import Caller, answered
from tests.support.effects import Effects
from tests.support.graphs import agent_output, echo, graph, items
from tests.support.installation import Installation


async def test_a_pause_lets_effects_finish_and_nothing_begin(
    user: Caller, installation: Installation, service: Effects
) -> None:
    saved = await user.save(shapes.effects_in_a_row(service.url))
    with service.held():
        run_id = await user.start(saved)
        await service.asked(1)
        paused = await user.command(saved, run_id, "pause")
        assert (paused["status"], paused["paused"]) == ("RUNNING", True)
    await installation.recorded(run_id, RunSuspended)
    resting = await user.see(saved, run_id)
    assert (resting.statuses("a"), resting.statuses("b")) == (["COMPLETED"], ["QUEUED"])
    assert sum(service.seen.values()) == 1
    assert not (await user.command(saved, run_id, "resume"))["paused"]
    assert (await user.ended(saved, run_id)).outputs == {"y": [2]}
    assert list(service.seen.values()) == [1, 1]


async def test_a_run_that_is_resumed_at_once_goes_on(user: Caller, service: Effects) -> None:
    saved = await user.save(shapes.effects_in_a_row(service.url))
    with service.held():
        run_id = await user.start(saved)
        await service.asked(1)
        await user.command(saved, run_id, "pause")
        await user.command(saved, run_id, "resume")
    assert (await user.ended(saved, run_id)).outputs == {"y": [2]}
    assert list(service.seen.values()) == [1, 1]


async def test_a_run_that_is_paused_before_it_begins_is_passed_over(
    user: Caller, installation: Installation
) -> None:
    saved = await user.save(echo())
    async with installation.without_executor():
        paused = await user.start(saved, {"x": "paused"})
        await user.command(saved, paused, "pause")
        other = await user.start(saved, {"x": "other"})
    assert (await user.ended(saved, other)).outputs == {"y": ["other"]}
    shown = await user.see(saved, paused)
    assert (shown.run["paused"], shown.statuses("x"), shown.outputs) == (True, ["QUEUED"], {})
    await user.command(saved, paused, "resume")
    assert (await user.ended(saved, paused)).outputs == {"y": ["paused"]}


async def test_time_goes_on_while_a_run_is_paused(user: Caller, installation: Installation) -> None:
    """What fell due meanwhile is done at once."""
    nodes = (shapes.waiting("n", 0.3), agent_output("y"))
    saved = await user.save(graph(*nodes, links="n.output > y.value"))
    run_id = await user.start(saved)
    await user.until(saved, run_id, lambda run: run.statuses("n") == ["RUNNING"])
    await user.command(saved, run_id, "pause")
    await installation.recorded(run_id, RunSuspended)
    until = (await user.see(saved, run_id)).only("n")["waits_until"]
    await user.command(saved, run_id, "resume")
    outcome = await user.ended(saved, run_id)
    assert outcome.outputs == {"y": ["waited"]}
    assert outcome.only("n")["end_time"] >= until


async def test_all_runs_of_a_graph_are_paused_and_resumed(user: Caller, service: Effects) -> None:
    saved = await user.save(shapes.effects_in_a_row(service.url))
    other = await user.save(shapes.one_effect(service.url))
    with service.held():
        ids = await asyncio.gather(*(user.start(saved) for _ in range(5)))
        beside = await user.start(other, {"x": 1})
        await service.asked(6)
        path = f"{saved.path}/executions"
        assert answered(await user.post(f"{path}/pause")) == {"count": 5}
    assert (await user.ended(other, beside)).outputs == {"y": [2]}
    for run_id in ids:
        shown = await user.until(saved, run_id, lambda run: run.statuses("a") == ["COMPLETED"])
        assert shown.run["paused"]
        assert shown.statuses("b") == ["QUEUED"]
    assert answered(await user.post(f"{path}/resume")) == {"count": 5}
    for run_id in ids:
        assert (await user.ended(saved, run_id)).outputs == {"y": [2]}
    assert set(service.seen.values()) == {1}


async def test_a_paused_run_can_be_stopped(user: Caller, service: Effects) -> None:
    saved = await user.save(shapes.effects_in_a_row(service.url))
    with service.held():
        run_id = await user.start(saved)
        await service.asked(1)
        await user.command(saved, run_id, "pause")
        stopped = await user.command(saved, run_id, "stop")
        assert stopped["status"] == "TERMINATED"
    outcome = await user.ended(saved, run_id)
    assert outcome.statuses("a") == ["TERMINATED"]
    assert sum(service.seen.values()) == 1


async def test_a_stop_gives_back_what_was_held_for_the_rest(user: Caller, service: Effects) -> None:
    before = (await user.read("/api/v1/credits"))["credits"]
    saved = await user.save(shapes.effects_in_a_row(service.url))
    with service.held():
        run_id = await user.start(saved)
        await service.asked(1)
        assert (await user.read("/api/v1/credits"))["credits"] == before - 2
        await user.command(saved, run_id, "stop")
    assert (await user.read("/api/v1/credits"))["credits"] == before


async def test_what_has_ended_stays_as_it_is(user: Caller) -> None:
    saved = await user.save(graph(items("a", 1)))
    run_id = (await user.ended(saved, await user.start(saved))).run["id"]
    version = (await user.see(saved, run_id)).run["version"]
    assert (await user.command(saved, run_id, "stop"))["status"] == "COMPLETED"
    for refused in ("pause", "resume"):
        answered(await user.post(f"{saved.run_path(run_id)}/{refused}"), 409)
    assert (await user.see(saved, run_id)).run["version"] == version


async def test_a_run_that_nobody_has_begun_is_stopped_at_once(
    user: Caller, installation: Installation
) -> None:
    saved = await user.save(echo())
    async with installation.without_executor():
        run_id = await user.start(saved, {"x": 1})
        assert (await user.command(saved, run_id, "stop"))["status"] == "TERMINATED"
    outcome = await user.see(saved, run_id)
    assert (outcome.statuses("x"), outcome.statuses("y")) == (["TERMINATED"], [])
