"""How a process lives and ends, seen from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from runtime import settings
from runtime.parent_watch import ParentWatch

PROGRAM = """
import asyncio, sys
from runtime import process
from runtime.embedded.child import StartError

def say(text):
    print(text, flush=True)

async def wait(_):
    say("working")
    try:
        await asyncio.Event().wait()
    finally:
        say("cleaning up")

async def refuse_to_end(_):
    say("working")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            say("not yet")

async def compute(_):
    say("working")
    while True:
        pass

async def fail(_):
    raise RuntimeError("postgresql://app:hunter2@db/evergraph is gone")

async def lose_a_part(_):
    process.keep_vital(asyncio.create_task(fail(_), name="heart"))
    await asyncio.Event().wait()

async def not_start(_):
    raise StartError("there is no broker")

async def end(settings):
    say(settings.port)

sys.exit(process.run("probe", globals()[sys.argv[1]]))
"""


class Probe:
    """A process that runs one of the functions above."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, line: str) -> bool:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().rstrip() == line

    async def end(self) -> tuple[int | None, str]:
        """The exit code and what was written on standard error."""
        _, errors = await self.process.communicate()
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def probe(
    function: str, parent_watch: ParentWatch | None = None, **environ: str
) -> AsyncIterator[Probe]:
    if parent_watch is not None:
        environ["EVERGRAPH_PARENT_FD"] = str(parent_watch.far_end)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, function),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=settings.environment(**environ),
        pass_fds=() if parent_watch is None else (parent_watch.far_end,),
    )
    try:
        if parent_watch is not None:
            parent_watch.hand_over()
        yield Probe(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    async with probe("wait") as one:
        assert await one.says("working")
        one.process.send_signal(number)
        assert await one.says("cleaning up")
        assert await one.end() == (0, "")


async def test_a_second_signal_ends_it_at_once() -> None:
    async with probe("refuse_to_end") as one:
        assert await one.says("working")
        one.process.send_signal(signal.SIGINT)
        assert await one.says("not yet")
        one.process.send_signal(signal.SIGINT)
        assert (await one.end())[0] == 1


async def test_a_failure_is_logged_without_secrets() -> None:
    async with probe("fail") as one:
        code, errors = await one.end()
    assert code == 1
    line = msgspec.json.decode(errors)
    assert (line["event"], line["level"], line["process"]) == ("process.failed", "error", "probe")
    assert "RuntimeError" in line["exception"]
    assert "hunter2" not in errors


async def test_it_ends_when_a_part_fails_that_the_others_wait_for() -> None:
    async with probe("lose_a_part") as one:
        code, errors = await one.end()
    assert code == 1
    line = msgspec.json.decode(errors)
    assert (line["event"], line["task"]) == ("process.crippled", "heart")


async def test_what_could_not_start_is_one_line() -> None:
    async with probe("not_start") as one:
        assert await one.end() == (1, "evergraph: there is no broker\n")


@pytest.mark.parametrize(
    ("name", "text"), [("EVERGRAPH_PORT", "eight"), ("EVERGRAPH_FAILPOINT", "nowhere")]
)
async def test_a_wrong_setting_is_one_line(name: str, text: str) -> None:
    async with probe("end", None, **{name: text}) as one:
        code, errors = await one.end()
    assert code == 2
    assert errors.startswith(f"evergraph: {name} must ")
    assert errors.count("\n") == 1


async def test_it_ends_with_its_work() -> None:
    async with probe("end", EVERGRAPH_PORT="9123") as one:
        assert await one.says("9123")
        assert await one.end() == (0, "")


async def test_a_child_begins_when_told_and_stops_with_its_supervisor() -> None:
    parent_watch = ParentWatch()
    async with probe("wait", parent_watch) as one:
        working = asyncio.create_task(one.says("working"))
        finished, _ = await asyncio.wait({working}, timeout=0.3)
        assert not finished
        parent_watch.go()
        assert await working
        parent_watch.cut()
        assert await one.says("cleaning up")
        assert await one.end() == (0, "")


async def test_a_child_whose_supervisor_is_dead_never_begins() -> None:
    parent_watch = ParentWatch()
    parent_watch.cut()
    async with probe("wait", parent_watch) as one:
        assert not await one.says("working")
        assert await one.end() == (0, "")


async def test_a_busy_child_does_not_outlive_its_supervisor() -> None:
    parent_watch = ParentWatch()
    async with probe("compute", parent_watch) as one:
        parent_watch.go()
        assert await one.says("working")
        parent_watch.cut()
        assert (await one.end())[0] == 1


async def test_it_works_without_anybody_to_read_it() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, "fail"), stdout=writer, stderr=writer
    )
    os.close(writer)
    assert await process.wait() == 1
