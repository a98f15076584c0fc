"""A run that is held up because its user writes too fast goes on by itself."""

from __future__ import annotations

import asyncio

import msgspec

from domain.runs import RunStatus
from runtime.eventlog.log import EventLog
from tests.workers.test_ledger import created, tools
from workers.executor.drive import Drive
from workers.executor.ledger import Ledger
from workers.executor.paces import Paces

SECONDS_MAX = 10.0


class Caught(Paces):
    """The user is ahead when it is looked at first, and has caught up by the next look."""

    def __init__(self) -> None:
        super().__init__(1, lambda: 1)
        self.looks = 0

    def seconds_ahead(self, user_id: str) -> float:
        self.looks += 1
        return 60.0 if self.looks == 1 else 0.0


async def test_who_has_caught_up_while_something_was_written_goes_on(event_log: EventLog) -> None:
    paces = Caught()
    run, own = await created(event_log), msgspec.structs.replace(tools(event_log), paces=paces)
    ledger = Ledger(run, own)
    ledger.claim()

    async def claimed() -> None:
        """Nobody waits for it."""

    async with asyncio.timeout(SECONDS_MAX):
        await Drive(ledger, own).to_end(claimed)
    assert run.status is RunStatus.COMPLETED
    assert paces.looks > 1
