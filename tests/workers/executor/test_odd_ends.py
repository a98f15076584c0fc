"""Blocks that end as none should: cancelled, or with what is no Exception. They fail their node."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, ClassVar

import pytest

from blocks.catalogue import CATALOGUE, CONTRACTS
from blocks.contract import (
    AsyncYields,
    Block,
    BlockContext,
    Category,
    Pins,
    Question,
    ReviewBlock,
    TimerBlock,
    Yields,
    pin,
)
from domain.contracts import Effect
from domain.limits import worker_limits
from domain.runs import RunClaimed, RunStatus, stream_of
from runtime.eventlog.log import EventLog, StreamWrite
from tests.commands.runs import driving
from tests.support.graphs import node
from tests.workers.executor.test_run_writer import OTHER, created, dependencies, names
from workers.executor import attempts
from workers.executor.run_driver import RunDriver
from workers.executor.run_writer import RunLost, RunWriter

SECONDS_MAX = 10.0
CLEAN_UP_SECONDS = 0.05

ENDS = {
    "cancelled": asyncio.CancelledError,
    "closed": GeneratorExit,
    "exited": SystemExit,
    "interrupted": KeyboardInterrupt,
    "broken": ValueError,
}


class Way(Pins):
    way: Annotated[str, pin("How to end")] = "cancelled"


class Out(Pins):
    output: Annotated[Any, pin("What never comes")] = None


class EndsOddly(Block):
    id = "3a3c9f3e-6a39-4a3c-8d3a-0f4d8f0b7c01"
    description = "Raise what is no Exception"
    categories = (Category.BASIC,)
    Input = Way
    Output = Out
    test_input: ClassVar = {}
    test_output = ()

    def run(self, inputs: Way, _context: BlockContext) -> Yields:
        yield "output", 1
        raise ENDS[inputs.way]


class EndsOddlyLater(Block):
    id = "3a3c9f3e-6a39-4a3c-8d3a-0f4d8f0b7c02"
    description = "Raise what is no Exception, after a while"
    categories = (Category.BASIC,)
    Input = Way
    Output = Out
    test_input: ClassVar = {}
    test_output = ()

    async def run(self, inputs: Way, _context: BlockContext) -> AsyncYields:
        yield "output", 1
        await asyncio.sleep(0)
        if inputs.way == "by itself":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        if inputs.way == "with another":
            inner = asyncio.ensure_future(asyncio.sleep(SECONDS_MAX))
            inner.cancel()
            await inner
        raise ENDS[inputs.way]


class EndsAnEffectOddly(EndsOddlyLater):
    id = "3a3c9f3e-6a39-4a3c-8d3a-0f4d8f0b7c03"
    description = "Act on the world, and raise what is no Exception"
    effect = Effect.EFFECTFUL


class CleansUp(Block):
    """`begun` and `over` are of the attempt that is at work."""

    id = "3a3c9f3e-6a39-4a3c-8d3a-0f4d8f0b7c06"
    description = "Take for ever, and a while to clean up"
    categories = (Category.BASIC,)
    effect = Effect.EFFECTFUL
    Input = Way
    Output = Out
    test_input: ClassVar = {}
    test_output = ()
    begun: ClassVar[asyncio.Event]
    over: ClassVar[asyncio.Event]

    async def run(self, inputs: Way, _context: BlockContext) -> AsyncYields:
        try:
            self.begun.set()
            await asyncio.sleep(SECONDS_MAX)
            yield "output", 1
        finally:
            await asyncio.sleep(CLEAN_UP_SECONDS if inputs.way == "soon" else SECONDS_MAX)
            self.over.set()


class AsksOddly(ReviewBlock):
    id = "3a3c9f3e-6a39-4a3c-8d3a-0f4d8f0b7c04"
    description = "Raise it instead of a question"
    categories = (Category.BASIC,)
    Input = Way
    Output = Out
    test_input: ClassVar = {}
    test_output = ()

    def question(self, inputs: Way) -> Question:
        raise ENDS[inputs.way]

    def run(self, _inputs: Way, _context: BlockContext) -> Yields:
        yield "output", 1


class WaitsOddly(TimerBlock):
    id = "3a3c9f3e-6a39-4a3c-8d3a-0f4d8f0b7c05"
    description = "Raise it instead of a time, or name one that does not come"
    categories = (Category.BASIC,)
    Input = Way
    Output = Out
    test_input: ClassVar = {}
    test_output = ()

    def delay(self, inputs: Way) -> float:
        if inputs.way == "never":
            return 1e300
        raise ENDS[inputs.way]

    def run(self, _inputs: Way, _context: BlockContext) -> Yields:
        yield "output", 1


ODD: list[Block] = [
    EndsOddly(),
    EndsOddlyLater(),
    EndsAnEffectOddly(),
    CleansUp(),
    AsksOddly(),
    WaitsOddly(),
]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks are in the catalogue."""
    contracts = {block.id: block.contract() for block in ODD}
    monkeypatch.setattr(attempts, "CATALOGUE", {**CATALOGUE, **{block.id: block for block in ODD}})
    monkeypatch.setattr(driving, "CONTRACTS", {**CONTRACTS, **contracts})


@pytest.mark.parametrize(
    ("block", "way"),
    [
        *((EndsOddly, way) for way in ENDS),
        *((EndsOddlyLater, way) for way in (*ENDS, "by itself", "with another")),
        *((EndsAnEffectOddly, way) for way in ("cancelled", "closed", "by itself")),
        *((AsksOddly, way) for way in ENDS),
        *((WaitsOddly, way) for way in (*ENDS, "never")),
    ],
)
async def test_it_fails_its_node(event_log: EventLog, block: type[Block], way: str) -> None:
    run = await created(event_log, node("a", block, way=way))
    writer = RunWriter(run, dependencies(event_log))
    writer.claim()
    async with asyncio.timeout(SECONDS_MAX):
        await RunDriver(writer, dependencies(event_log)).to_end(nobody_waits)
    assert run.status is RunStatus.COMPLETED
    assert run.errors == 1
    assert (await names(event_log, run))[-2:] == ["NodeFailed", "RunCompleted"]


@pytest.mark.parametrize(("way", "is_over"), [("soon", True), ("late", False)])
async def test_what_is_given_up_cleans_up_before_its_run_is_let_go_of(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch, way: str, is_over: bool
) -> None:
    """Who takes the run next begins the effect anew, and not beside this one, if that is quick."""
    monkeypatch.setattr(worker_limits, "CLEAN_UP_SECONDS_MAX", 4 * CLEAN_UP_SECONDS)
    CleansUp.begun, CleansUp.over = asyncio.Event(), asyncio.Event()
    run = await created(event_log, node("a", CleansUp, way=way))
    writer = RunWriter(run, dependencies(event_log))
    writer.claim()
    drive = RunDriver(writer, dependencies(event_log))
    driving = asyncio.create_task(drive.to_end(nobody_waits))
    async with asyncio.timeout(SECONDS_MAX):
        await CleansUp.begun.wait()
        claim = StreamWrite.of(stream_of(run.run_id), drive.durable, [RunClaimed("other")])
        await event_log.append([claim], OTHER)
        drive.nudge()
        with pytest.raises(RunLost):
            await driving
    assert CleansUp.over.is_set() is is_over


async def nobody_waits() -> None:
    """Nobody waits for the claim."""
