"""Runs that wait: for time, for their turn. Whoever waits keeps nobody from working."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from domain.runs import NodeDeferred, RunClaimed, RunCompleted, RunSuspended, stream_of
from tests.conformance import shapes
from tests.support.api import Caller, answered
from tests.support.effects import Effects
from tests.support.graphs import agent_output, echo, graph
from tests.support.installation import Installation

LATE = timedelta(seconds=5)
"""Before this somebody was woken for the moment; the net beneath takes longer."""
QUEUED = 300

SELECT_ENDS = """
SELECT originator_id FROM log.stored_events
WHERE originator_id = ANY(%s) AND topic LIKE 'runs.RunCompleted@%%' ORDER BY notification_id
"""


async def test_a_run_that_waits_is_in_nobodys_hands_and_ends_on_time(
    user: Caller, installation: Installation
) -> None:
    nodes = (shapes.waiting("n", 2), agent_output("y"))
    saved = await user.save(graph(*nodes, links="n.output > y.value"))
    run_id = await user.start(saved)
    suspended = await installation.recorded(run_id, RunSuspended)
    until = (await installation.recorded(run_id, NodeDeferred)).until
    assert suspended.until == until
    await installation.kill_executor()
    quick = await user.run(echo(), {"x": 1})
    outcome = await user.ended(saved, run_id)
    assert outcome.outputs == {"y": ["waited"]}
    entries = await installation.events(run_id)
    assert timedelta() <= entries[-1].recorded_at - until < LATE
    assert quick.run["ended_at"] < outcome.run["ended_at"]
    kinds = [type(entry.event) for entry in entries]
    assert (kinds.count(RunClaimed), kinds.count(NodeDeferred)) == (2, 1)


async def test_a_run_that_waits_shows_for_what(user: Caller) -> None:
    saved = await user.save(graph(shapes.waiting("n")))
    run_id = await user.start(saved)
    shown = await user.until(saved, run_id, lambda run: run.statuses("n") == ["RUNNING"])
    assert shown.only("n")["waits_until"] > shown.run["started_at"]
    answered(await user.post(f"{saved.run_path(run_id)}/stop"))


async def test_many_runs_of_one_keep_nobody_elses_from_ending(
    user: Caller, installation: Installation, service: Effects
) -> None:
    """All that can be at work at once are, for as long as the service outside likes."""
    saved = await user.save(shapes.one_effect(service.url))
    other = await installation.user()
    with service.held():
        slow = await asyncio.gather(*(user.start(saved, {"x": 0}) for _ in range(QUEUED)))
        await service.asked(installation.settings.runs_per_graph)
        quick = await other.run(echo(), {"x": 1})
        assert quick.outputs == {"y": [1]}
        assert service.seen.total() == installation.settings.runs_per_graph
    for run_id in slow:
        await installation.recorded(run_id, RunCompleted)
    streams = [stream_of(run_id) for run_id in slow]
    assert len(await installation.rows(SELECT_ENDS, streams)) == QUEUED


async def test_the_first_run_of_one_comes_before_most_of_anothers_hundreds(
    user: Caller, installation: Installation
) -> None:
    """All were there before anybody could work."""
    saved = await user.save(echo())
    other = await installation.user()
    theirs = await other.save(echo())
    async with installation.without_executor():
        many = await asyncio.gather(*(user.start(saved, {"x": 0}) for _ in range(QUEUED)))
        first = await other.start(theirs, {"x": 1})
    for run_id in (*many, first):
        await installation.recorded(run_id, RunCompleted)
    streams = [stream_of(run_id) for run_id in (*many, first)]
    ends = [row[0] for row in await installation.rows(SELECT_ENDS, streams)]
    assert len(ends) == QUEUED + 1
    assert ends.index(stream_of(first)) <= installation.settings.runs_per_graph + 1
