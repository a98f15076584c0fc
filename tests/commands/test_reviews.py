"""Deciding reviews of real runs. The rules one by one are in tests/domain/test_reviews.py."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from blocks.reviews import HumanInTheLoop
from commands import reviews
from commands.reviews import ReviewsDecided
from commands.runs import control
from domain.errors import Conflict, Invalid, NotFound
from domain.reviews import ReviewDecision
from domain.runs import ReviewDecided, RunStatus
from runtime.aggregates.command_context import Idempotency
from runtime.aggregates.repository import Repository
from tests.commands.runs.driving import ADA, EVE, Worker, events_of, folded, saved, start
from tests.support.graphs import agent_output, graph, node

TWO = graph(
    node("first", HumanInTheLoop, name="First", data=1),
    node("second", HumanInTheLoop, name="Second", data=2),
    agent_output("y"),
    links="""
        first.approved_data > y.value
        second.approved_data > y.value
    """,
)
YES = ReviewDecision(execution=0, approved=True)


async def asking(repository: Repository) -> Worker:
    """A run at rest, whose executions 0 and 1 wait for a person."""
    done = await start(repository, await saved(repository, TWO))
    worker = await Worker.of(repository, done.answer.run_id)
    await worker.claims()
    for _ in range(2):
        await worker.asks(HumanInTheLoop, editable=True)
    await worker.suspended()
    return worker


async def test_several_reviews_are_decided_in_one_append(repository: Repository) -> None:
    worker = await asking(repository)
    head = await repository.log.read_head()
    done = await reviews.decide(
        repository,
        ADA,
        run_id=worker.run_id,
        decisions=[
            ReviewDecision(execution=0, approved=True, data="better"),
            ReviewDecision(execution=1, approved=False, message="no"),
        ],
    )
    assert done.answer == ReviewsDecided(worker.run_id, approved=1, rejected=1)
    assert done.position == head + 2
    nodes = [execution.node.node.node_id for execution in worker.run.executions.values()]
    assert (await events_of(repository, worker.run_id))[-2:] == [
        ReviewDecided(0, nodes[0], approved=True, data="better", edited=True),
        ReviewDecided(1, nodes[1], approved=False, message="no"),
    ]


async def test_what_was_decided_is_ready_again(repository: Repository) -> None:
    worker = await asking(repository)
    await reviews.decide(repository, ADA, run_id=worker.run_id, decisions=[YES])
    run = await folded(repository, worker.run_id)
    assert [e.status for e in run.executions.values()] == [RunStatus.QUEUED, RunStatus.REVIEW]
    assert run.status is RunStatus.REVIEW


async def test_a_refused_decision_decides_nothing(repository: Repository) -> None:
    worker = await asking(repository)
    head = await repository.log.read_head()
    for decisions, refusal in (
        ([YES, ReviewDecision(execution=2, approved=True)], NotFound),
        ([YES, YES], Invalid),
        ([], Invalid),
    ):
        with pytest.raises(refusal):
            await reviews.decide(repository, ADA, run_id=worker.run_id, decisions=decisions)
    assert await repository.log.read_head() == head


async def test_a_review_is_the_owners_of_its_run(repository: Repository) -> None:
    worker = await asking(repository)
    for context, run_id in (
        (EVE, worker.run_id),
        (ADA, "018f3c2e-7d10-7a3b-9c55-0b6e2f4d8a01"),
        (ADA, "no id at all"),
    ):
        with pytest.raises(NotFound, match=f"Execution {run_id} not found"):
            await reviews.decide(repository, context, run_id=run_id, decisions=[YES])


async def test_a_review_is_decided_while_other_branches_go_on(repository: Repository) -> None:
    done = await start(repository, await saved(repository, TWO))
    worker = await Worker.of(repository, done.answer.run_id)
    await worker.claims()
    await worker.asks(HumanInTheLoop)
    await worker.completes(HumanInTheLoop, ("approved_data", 1))
    await reviews.decide(repository, ADA, run_id=worker.run_id, decisions=[YES])
    run = await folded(repository, worker.run_id)
    assert run.executions[0].decided is not None


async def test_a_crowd_decides_a_review_once(repository: Repository) -> None:
    worker = await asking(repository)
    answers = await asyncio.gather(
        *(
            reviews.decide(
                repository,
                ADA,
                run_id=worker.run_id,
                decisions=[ReviewDecision(execution=0, approved=number % 2 == 0)],
            )
            for number in range(6)
        ),
        return_exceptions=True,
    )
    assert sum(not isinstance(answer, NotFound) for answer in answers) == 1
    happened = await events_of(repository, worker.run_id)
    assert sum(isinstance(event, ReviewDecided) for event in happened) == 1


async def test_under_a_key_the_same_answer_comes_again(repository: Repository) -> None:
    worker = await asking(repository)
    keyed = msgspec.structs.replace(ADA, idempotency=Idempotency("key", b"request"))
    first = await reviews.decide(repository, keyed, run_id=worker.run_id, decisions=[YES])
    again = await reviews.decide(repository, keyed, run_id=worker.run_id, decisions=[YES])
    assert again == first


async def test_a_run_that_was_stopped_asks_nobody(repository: Repository) -> None:
    worker = await asking(repository)
    await control.stop(repository, ADA, worker.run_id)
    with pytest.raises(Conflict, match="the run has ended"):
        await reviews.decide(repository, ADA, run_id=worker.run_id, decisions=[YES])
