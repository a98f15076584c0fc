"""The executor process: a bell, a lease, and as many runs in hand as it has room for."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime

import structlog
from nats.aio.msg import Msg

from blocks import templates
from commands.plans import Plans
from commands.streams import Streams
from commands.turns import Turns
from domain import limits
from domain.errors import Conflict, Unavailable
from projections import run_details
from runtime import clock, database, faults, nats
from runtime.egress import Egress
from runtime.embedded.nats import nats_url
from runtime.embedded.postgres import database_url
from runtime.eventlog.log import EventLog
from runtime.settings import Settings
from workers.executor.bells import Bells
from workers.executor.drive import Drive
from workers.executor.leases import Lease
from workers.executor.ledger import Ledger, RunLost

log = structlog.get_logger()


class Executor:
    """Drives many runs at once, each in a task of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = EventLog(database_url(settings), "executor")
        self._streams = Streams(self._log)
        self._turns = Turns()
        self._plans = Plans()
        self._lease = Lease(self._log, settings.worker_name)
        self._http = Egress(settings.egress_allow)
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._left = asyncio.Event()

    async def serve(self) -> None:
        """Run until cancelled; then let go of all runs, so that others may claim them."""
        await self._log.open()
        await self._lease.renew()
        faults.reach("lease.taken")
        keeping = asyncio.create_task(self._lease.keep(), name="lease")
        try:
            await self._listen()
        finally:
            keeping.cancel()
            await self._let_go()

    async def _listen(self) -> None:
        bells = Bells()
        await bells.open(nats_url(self._settings))
        log.info("executor.ready", worker=self._lease.worker)
        try:
            while True:
                room = limits.EXECUTOR_RUNS_MAX - len(self._driving)
                if room == 0:
                    self._left.clear()
                    await self._left.wait()
                    continue
                message = await bells.take(room)
                self._take(message.data.decode(), message)
        finally:
            await bells.close()

    def _take(self, run_id: str, message: Msg | None = None) -> None:
        if run_id in self._driving:
            return
        task = asyncio.create_task(self._attend(run_id, message), name=f"run {run_id}")
        self._driving[run_id] = task
        task.add_done_callback(lambda _: self._leave(run_id))

    def _leave(self, run_id: str) -> None:
        del self._driving[run_id]
        self._left.set()

    async def _attend(self, run_id: str, message: Msg | None) -> None:
        """Drive the run until it has ended, sleeps or is another's, then silence its bell."""
        failures = 0
        while True:
            try:
                sleeps_until = await self._drive(run_id, failures)
                if sleeps_until is not None:
                    self._wake_later(run_id, sleeps_until)
            except RunLost:
                log.info("run.lost", run=run_id)
            except (Unavailable, Conflict, *database.LOST) as error:
                # The run is ours and nobody else will take it: go on when that is possible.
                log.warning("run.interrupted", run=run_id, error=str(error))
                await asyncio.sleep(limits.POLL_SECONDS)
                continue
            except Exception:
                failures += 1
                log.exception("run.crashed", run=run_id, failures=failures)
                await asyncio.sleep(limits.POLL_SECONDS)
                continue
            if message is not None:
                with contextlib.suppress(*nats.NatsError):
                    await message.ack()
            return

    def _wake_later(self, run_id: str, moment: datetime) -> None:
        """Take a run that sleeps again when its time has come.

        Until then it has no place here but stays ours, so that nobody rings for it; when this
        process dies, somebody does.
        """
        seconds = max(0.0, (moment - clock.now()).total_seconds())
        asyncio.get_running_loop().call_later(seconds, self._take, run_id)

    async def _drive(self, run_id: str, failures: int) -> datetime | None:
        run = await run_details.fold(self._streams, self._plans, run_id)
        if run is None or run.is_ended:
            return None
        claimed_by_other = run.worker is not None and run.worker != self._lease.worker
        if claimed_by_other and await self._lease.is_held(str(run.worker)):
            return None
        ledger = Ledger(run, self._streams, self._turns, self._lease.worker)
        drive = Drive(ledger, self._http, self._lease.worker)
        if failures >= limits.RUN_CRASHES_MAX:
            await drive.fail("The run failed for a reason inside Evergraph")
            return None
        return await drive.to_end()

    async def _let_go(self) -> None:
        tasks = list(self._driving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(*database.LOST):
            await self._lease.give_up()
        await self._log.close()
        await self._http.close()
        await templates.close()
