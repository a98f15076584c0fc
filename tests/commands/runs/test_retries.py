"""Retries: runs that take ended ones up again."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.catalogue import CONTRACTS
from blocks.io import AgentOutput
from blocks.web import SendWebRequest
from commands.runs import control, forks
from commands.runs.starts import RunAccepted
from domain.errors import Conflict, NotFound
from domain.runs import Fork, RunFailed, RunStatus
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Done, Repository
from runtime.aggregates.run_repository import RunRepository
from tests.commands.runs.driving import ADA, EVE, Worker, agent, created, folded, saved, start
from tests.commands.runs.test_forks import begun, ready, requests, taken_up
from tests.support.graphs import agent_output, echo, graph


async def retry(
    repository: Repository, worker: Worker, context: CommandContext = ADA, **changes: Any
) -> Done[RunAccepted]:
    assert worker.run.created is not None
    wanted: dict[str, Any] = {
        "run_id": worker.run_id,
        "graph_id": worker.run.created.graph_id,
        "contracts": CONTRACTS,
    }
    return await forks.retry(repository, context, RunRepository(repository), **wanted | changes)


async def test_a_retry_does_again_what_failed_and_nothing_else(repository: Repository) -> None:
    worker = await begun(repository)
    await worker.fails(SendWebRequest)
    await worker.completes(SendWebRequest, ("response", 2))
    await worker.completes(AgentOutput, ("output", 2))
    await worker.ends()
    done = await retry(repository, worker)
    assert done.answer.fork == Fork(run_id=worker.run_id, version=7, retried=(2,))
    again = await taken_up(repository, done)
    assert (again.run.errors, again.run.stats.cost) == (0, 0)
    await again.completes(SendWebRequest, ("response", 1))
    await again.completes(AgentOutput, ("output", 1))
    assert again.run.is_drained
    run = await folded(repository, again.run_id)
    assert run.outputs_by_name() == {"y": [2, 1]}


async def test_a_retry_goes_on_with_what_was_cut_off(repository: Repository) -> None:
    worker = await begun(repository)
    await worker.starts(SendWebRequest)
    await worker.append(RunFailed("no credits", worker.run.stats))
    done = await retry(repository, worker)
    again = await taken_up(repository, done)
    assert again.run.status is RunStatus.QUEUED
    assert ready(again) == requests("http://one/", "http://two/")


async def test_a_retry_of_a_retry(repository: Repository) -> None:
    worker = await begun(repository)
    await worker.fails(SendWebRequest)
    await worker.fails(SendWebRequest)
    await worker.ends()
    again = await taken_up(repository, await retry(repository, worker))
    await again.completes(SendWebRequest, ("response", 1))
    await again.fails(SendWebRequest)
    await again.completes(AgentOutput, ("output", 1))
    await again.ends()
    once_more = await retry(repository, again)
    assert once_more.answer.fork is not None
    assert (once_more.answer.fork.retried, once_more.answer.fork.depth) == ((3,), 2)
    assert ready(await taken_up(repository, once_more)) == requests("http://two/")


async def test_there_is_nothing_to_retry(repository: Repository) -> None:
    worker = await begun(repository)
    with pytest.raises(Conflict, match="the run has not ended: it is RUNNING"):
        await retry(repository, worker)
    for block in (SendWebRequest, SendWebRequest):
        await worker.completes(block)
    await worker.ends()
    with pytest.raises(Conflict, match="there is nothing to retry"):
        await retry(repository, worker)


async def test_a_retry_of_a_child_is_a_run_of_its_own(repository: Repository) -> None:
    leaf = await saved(repository, echo())
    top = graph(agent("part", leaf, x=1), agent_output("y"), links="part.y > y.value")
    done = await start(repository, await saved(repository, top))
    parent = await Worker.of(repository, done.answer.run_id)
    child = await parent.becomes_a_parent()
    await control.stop(repository, ADA, child.run_id)
    accepted = await retry(repository, child)
    assert (await created(repository, accepted.answer.run_id)).parent is None


async def test_a_run_is_retried_by_its_owner(repository: Repository) -> None:
    worker = await begun(repository)
    await worker.fails(SendWebRequest)
    await worker.ends()
    head = await repository.log.read_head()
    for context, changes in (
        (EVE, {}),
        (ADA, {"graph_id": "another"}),
        (ADA, {"run_id": "another"}),
    ):
        with pytest.raises(NotFound, match="Execution "):
            await retry(repository, worker, context, **changes)
    assert await repository.log.read_head() == head
