"""What finds no memory ends its process in order, and does not do so for ever."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from blocks.catalogue import CONTRACTS
from commands import graphs
from domain.limits import worker_limits
from domain.runs import RunFailed, RunParked, RunSuspended
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Repository
from runtime.embedded.postgres import database_url
from runtime.eventlog.log import opened
from tests.faults.graphs import EFFECT, PURE, Other, chain
from tests.faults.scene import END_SECONDS_MAX, Batch, Scene
from tests.support.plugin_blocks import RunsOutOfMemory
from tests.support.processes import limit, until

EXECUTOR = "executor-1"
OURS = {"run.out_of_memory", "process.out_of_memory", "run.not_loaded", "request.out_of_memory"}
FAILED = "runs.RunFailed@1"
CLAIMED = "runs.RunClaimed@1"
READ_OWNER = "SELECT user_id FROM read.graphs LIMIT 1"
SPARE_BYTES = 48 * 1024 * 1024
"""More than it takes to say that there is no more, and less than a heavy graph takes."""


def bounded_as_it_is(pid: int) -> None:
    """Let the process have not much more memory than it has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + SPARE_BYTES
    limit(pid, "as", most)


async def test_a_run_over_which_memory_runs_out_again_and_again_is_failed(plugged: Scene) -> None:
    deaths = plugged.cluster.deaths(EXECUTOR)
    others = await plugged.start([EFFECT, 3.0, EFFECT], runs=4)
    hungry = await plugged.start([PURE, Other(RunsOutOfMemory)])
    await plugged.recorded(hungry, worker_limits.ALONE_DEATHS, CLAIMED)
    await plugged.recorded(hungry, 1, FAILED)
    await plugged.ended(others)
    events = [fact.event for fact in (await plugged.facts())[hungry.runs[0]]]
    assert isinstance(events[-1], RunFailed)
    assert events[-1].error.startswith("Parked: ")
    assert not any(isinstance(event, RunSuspended) for event in events)
    assert plugged.cluster.deaths(EXECUTOR) <= deaths + worker_limits.DEATHS_MAX
    await plugged.keeps_its_promises(but=OURS)


@pytest.mark.parametrize("role", [EXECUTOR, "api"])
async def test_a_process_without_memory_makes_room_for_another(plugged: Scene, role: str) -> None:
    """A run that an executor cannot read for want of it is set aside, and tried again later."""
    graph_id = await stored_before(plugged)
    pid = plugged.cluster.pids()[role]
    bounded_as_it_is(pid)
    heavy = Batch(graph_id, await plugged.start_runs(graph_id, 1), 1)
    await until(lambda: plugged.cluster.pids().get(role, pid) != pid, seconds=END_SECONDS_MAX)
    await plugged.ended(heavy)
    events = [fact.event for fact in (await plugged.facts())[heavy.runs[0]]]
    parked = [event.reason for event in events if isinstance(event, RunParked)]
    assert [reason.partition(":")[0] for reason in parked] == ["MemoryError"] * (role == EXECUTOR)
    await plugged.ended(await plugged.start([EFFECT]))
    await plugged.keeps_its_promises(but=OURS)


async def stored_before(given: Scene) -> str:
    """A graph that the edge would refuse today, and that takes a hundred megabytes."""
    await given.ended(await given.start([PURE]))
    (owner,) = await given.row(READ_OWNER)
    document = chain([PURE], given.effects.url)
    document["nodes"][0]["metadata"] = {"ballast": [[]] * 1_300_000}
    async with opened(database_url(given.cluster.settings), "before") as log:
        done = await graphs.create(
            Repository(log),
            CommandContext(owner=owner, actor=owner),
            document=document,
            source=None,
            contracts=CONTRACTS,
        )
    return str(done.answer.graph.id)
