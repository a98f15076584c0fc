"""What a node's policy says about failures: tried again, given up, asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from blocks.logic import Calculator
from domain.runs import NodeRetried, NodeStarted
from tests.conformance import shapes
from tests.conformance.people import asked, decide
from tests.support.api import Caller, answered
from tests.support.effects import Effects
from tests.support.graphs import Document, agent_output, graph, node, with_policy
from tests.support.installation import Installation
from tests.support.plugin_blocks import Flaky, Slow

QUICK = {"attempts": 3, "first_seconds": 0.02, "factor": 2, "jitter": 0}
LOOP_CLOCK_US = 2_000
"""Timers of the loop are this coarse: they may fire that much early."""


def flaky(path: Path, succeeds_at: int, **policy: Any) -> Document:
    """What comes of a service that is away at first is the output `y`, or the output `why`."""
    links = """
        f.output > y.value
        f.error > why.value
    """
    f = with_policy(node("f", Flaky, path=str(path), succeeds_at=succeeds_at), **policy)
    return graph(f, agent_output("y"), agent_output("why"), links=links)


async def test_what_was_away_is_tried_again(
    user: Caller, installation: Installation, shared_dir: Path
) -> None:
    outcome = await user.run(flaky(shared_dir / "attempts", 3, retries=QUICK))
    assert outcome.outputs == {"y": [3]}
    assert outcome.statuses("f") == ["COMPLETED"]
    assert outcome.only("f")["attempt"] == 3
    assert outcome.run["stats"]["node_error_count"] == 0
    history = [entry.event for entry in await installation.events(outcome.run["id"])]
    retries = [event for event in history if isinstance(event, NodeRetried)]
    assert [retry.error for retry in retries] == ["attempt 1 of 3", "attempt 2 of 3"]


async def test_a_pause_is_as_long_as_the_policy_says(
    user: Caller, installation: Installation, shared_dir: Path
) -> None:
    outcome = await user.run(flaky(shared_dir / "attempts", 3, retries=QUICK))
    entries = await installation.events(outcome.run["id"])
    due = [entry.event.until for entry in entries if isinstance(entry.event, NodeRetried)]
    begun = [entry.recorded_at for entry in entries if isinstance(entry.event, NodeStarted)]
    assert all(at >= until for at, until in zip(begun[1:], due, strict=True))


async def test_attempts_come_to_an_end(user: Caller, shared_dir: Path) -> None:
    attempts = shared_dir / "attempts"
    outcome = await user.run(flaky(attempts, 9, retries=QUICK))
    assert outcome.outputs == {"why": ["attempt 3 of 9"]}
    assert outcome.statuses("f") == ["FAILED"]
    assert (outcome.only("f")["attempt"], attempts.stat().st_size) == (3, 3)
    assert outcome.run["stats"]["node_error_count"] == 1


async def test_only_what_the_policy_names_is_tried_again(user: Caller, shared_dir: Path) -> None:
    policy = {"retries": QUICK, "retry_on": ["timeout", "crash"]}
    outcome = await user.run(flaky(shared_dir / "attempts", 2, **policy))
    assert outcome.outputs == {"why": ["attempt 1 of 2"]}


async def test_a_failure_of_the_block_can_be_tried_again(
    user: Caller, installation: Installation
) -> None:
    again = with_policy(shapes.failing("f"), retries=QUICK, retry_on=["failure"])
    outcome = await user.run(graph(again))
    history = [type(entry.event) for entry in await installation.events(outcome.run["id"])]
    assert history.count(NodeRetried) == 2
    assert outcome.only("f")["error"] == shapes.FAILURE


async def test_a_node_that_takes_too_long_fails(user: Caller) -> None:
    late = with_policy(shapes.slow("n"), timeout_seconds=0.05)
    outcome = await user.run(graph(late, agent_output("why"), links="n.error > why.value"))
    assert outcome.outputs == {"why": ["The node took longer than 0.05 seconds"]}
    assert outcome.statuses("n") == ["FAILED"]


async def test_each_attempt_has_the_whole_time(user: Caller, installation: Installation) -> None:
    policy = {"timeout_seconds": 0.05, "retries": QUICK, "retry_on": ["timeout"]}
    outcome = await user.run(graph(with_policy(shapes.slow("n"), **policy)))
    history = [entry.event for entry in await installation.events(outcome.run["id"])]
    times = [event.elapsed_us for event in history if isinstance(event, NodeRetried)]
    assert len(times) == 2
    assert min(times) >= 50_000 - LOOP_CLOCK_US


async def test_a_node_that_is_quick_enough_is_let_be(user: Caller) -> None:
    quick = with_policy(node("n", Slow, seconds=0, value=1), timeout_seconds=60)
    assert (await user.run(graph(quick))).statuses("n") == ["COMPLETED"]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"retries": {"attempts": 0}}, "retries.attempts must be a whole number from 1 to 100"),
        ({"timeout_seconds": "soon"}, "timeout_seconds must be a number from 0.001 to 86400"),
        ({"in_doubt": "hope"}, "in_doubt must be one of repeat, ask, fail"),
        ([], "must be an object"),
    ],
)
async def test_a_policy_that_makes_no_sense_is_refused(
    user: Caller, policy: Any, message: str
) -> None:
    document = graph({**shapes.failing("f"), "metadata": {"policy": policy}})
    refused = answered(await user.post("/api/v1/graphs", {"graph": document}), 400)
    assert refused["detail"]["node_errors"] == {"f": {"metadata.policy": message}}


async def test_a_pure_node_can_be_made_durable_by_itself(
    user: Caller, installation: Installation
) -> None:
    add = node("add", Calculator, operation="Add", a=1, b=1)
    plain = await user.run(graph(add))
    durable = await user.run(graph(with_policy(add, effectful=True)))
    for outcome, attempts in ((plain, 0), (durable, 1)):
        history = [type(entry.event) for entry in await installation.events(outcome.run["id"])]
        assert history.count(NodeStarted) == outcome.only("add")["attempt"] == attempts
        assert outcome.only("add")["output_data"] == {"result": [2]}


async def test_an_effect_in_doubt_is_repeated_asked_about_or_given_up(
    user: Caller, installation: Installation, service: Effects
) -> None:
    """All three are at work when their worker dies."""
    saved = await user.save(shapes.doubted("repeat", "ask", "fail", url=service.url))
    with service.held():
        run_id = await user.start(saved)
        await service.asked(3)
        await installation.kill_executor()
        await service.asked(4)
    (question,) = await asked(user, saved, run_id)
    assert question["node_id"] == saved.ids["ask"]
    await decide(user, question, approved=True)
    outcome = await user.ended(saved, run_id)
    ids = [outcome.only(name)["node_exec_id"] for name in ("repeat", "ask", "fail")]
    assert [service.seen[key] for key in ids] == [2, 2, 1]
    assert outcome.statuses("fail") == ["FAILED"]
    assert "not known" in outcome.only("fail")["error"]
