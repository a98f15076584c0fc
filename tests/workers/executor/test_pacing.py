"""A run that is held up because its user writes too fast goes on by itself."""

from __future__ import annotations

import asyncio

import msgspec

from domain.runs import RunStatus
from runtime.eventlog.log import EventLog
from tests.workers.executor.test_run_writer import created, dependencies
from workers.executor.run_driver import RunDriver
from workers.executor.run_writer import RunWriter
from workers.executor.write_rates import WriteRates

SECONDS_MAX = 10.0


class Caught(WriteRates):
    """The user is ahead when it is looked at first, and has caught up by the next look."""

    def __init__(self) -> None:
        super().__init__(1, lambda: 1)
        self.looks = 0

    def seconds_ahead(self, user_id: str) -> float:
        self.looks += 1
        return 60.0 if self.looks == 1 else 0.0


async def test_who_has_caught_up_while_something_was_written_goes_on(event_log: EventLog) -> None:
    paces = Caught()
    run, own = (
        await created(event_log),
        msgspec.structs.replace(dependencies(event_log), paces=paces),
    )
    writer = RunWriter(run, own)
    writer.claim()

    async def claimed() -> None:
        """Nobody waits for it."""

    async with asyncio.timeout(SECONDS_MAX):
        await RunDriver(writer, own).to_end(claimed)
    assert run.status is RunStatus.COMPLETED
    assert paces.looks > 1
