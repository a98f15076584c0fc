"""A run that is stopped at the very moment when its driver is about to let go of it."""

from __future__ import annotations

import asyncio

from blocks.waiting import Wait
from domain.runs import RunStatus, RunStopRequested, stream_of
from runtime.eventlog.log import EventLog, StreamWrite
from tests.support.graphs import node
from tests.workers.test_ledger import OTHER, created, names, tools
from workers.executor.drive import Drive
from workers.executor.ledger import Ledger

SECONDS_MAX = 10.0


class Overtaken(Drive):
    """A stop comes before what it has just begun is written."""

    def __init__(self, ledger: Ledger, event_log: EventLog) -> None:
        super().__init__(ledger, tools(event_log))
        self._log = event_log
        self.is_stopped = False

    async def _take_ready(self) -> None:
        await super()._take_ready()
        if not self.is_stopped:
            self.is_stopped = True
            stream = stream_of(self._run.run_id)
            stop = StreamWrite.of(stream, self.durable, [RunStopRequested()])
            await self._log.append([stop], OTHER)
            await self._ledger.flush()


async def test_a_stop_that_comes_before_a_rest_is_not_slept_through(event_log: EventLog) -> None:
    run = await created(event_log, node("a", Wait, seconds=3_600))
    ledger = Ledger(run, tools(event_log))
    ledger.claim()

    async def claimed() -> None:
        """Nobody waits for it."""

    async with asyncio.timeout(SECONDS_MAX):
        await Overtaken(ledger, event_log).to_end(claimed)
    assert run.status is RunStatus.TERMINATED
    stream = await names(event_log, run)
    assert stream[2:] == ["RunStopRequested", "NodeDeferred", "RunTerminated"]
