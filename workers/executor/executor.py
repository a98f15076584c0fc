"""The executor process: a wake_up, a lease, and as many runs in hand as it has room for."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import structlog

from commands.runs import control
from domain import runs
from domain.engine.run import Run
from domain.engine.suspicion import Suspicion
from domain.errors import Conflict, DomainError, NoRoom, Unavailable
from domain.limits import database_limits, worker_limits
from runtime import database, failpoints, ids, process
from runtime.aggregates.keyed_lock import KeyedLock
from runtime.aggregates.repository import Repository
from runtime.aggregates.run_repository import RunRepository
from runtime.egress import Egress
from runtime.embedded.postgres import database_url
from runtime.eventlog.log import EventLog
from runtime.nats import WakeUp
from runtime.settings import Settings
from workers.executor.dependencies import Dependencies
from workers.executor.lease import Lease
from workers.executor.renderers import Renderers
from workers.executor.run_driver import RunDriver
from workers.executor.run_loader import RunLoader
from workers.executor.run_writer import RunLost, RunWriter
from workers.executor.strays import Strays
from workers.executor.suspects import Suspects, Watch
from workers.executor.wake_ups import ReceivedWakeUp, WakeUps
from workers.executor.write_rates import WriteRates

log = structlog.get_logger()

INSIDE = "The run failed for a reason inside Evergraph"


class NotLoaded(Exception):
    """A run cannot be read, and the message says why; the run is not to blame."""


class Executor:
    """Drives many runs at once, each in a task of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = EventLog(database_url(settings), "executor")
        self._lease = Lease(
            self._log,
            database_url(settings),
            settings.worker_name,
            settings.incarnation or str(ids.new_id()),
            settings.predecessor,
        )
        self._http = Egress(settings.egress_allow)
        self._renderers = Renderers()
        repository = Repository(self._log)
        self._dependencies = Dependencies(
            worker=self._lease.worker,
            repository=repository,
            runs=RunRepository(repository),
            turns=KeyedLock(),
            paces=WriteRates(settings.bytes_per_user, lambda: 1 + self._lease.others),
            http=self._http,
            templates=self._renderers,
        )
        self._loader = RunLoader(self._dependencies)
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._drivers: dict[str, RunDriver] = {}
        self._left = asyncio.Event()
        self._suspects = Suspects()
        self._strays = Strays(self._log, self._lease.worker)

    async def serve(self) -> None:
        """Run until cancelled; then let go of all runs, so that others may claim them."""
        await self._log.open()
        await self._lease.take()
        failpoints.reach("lease.taken")
        try:
            # Without its lease or its watch an executor would drive on unseen: one ends all.
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._lease.keep(), name="lease")
                parts.create_task(self._watch(), name="watch")
                parts.create_task(self._listen(), name="listen")
        finally:
            await self._let_go()

    async def _listen(self) -> None:
        wake_ups = WakeUps(self._settings, self._log, self._nudge)
        await wake_ups.open()
        log.info("executor.ready", worker=self._lease.worker)
        try:
            while True:
                room = worker_limits.EXECUTOR_RUNS_MAX - len(self._driving)
                if room == 0:
                    self._left.clear()
                    await self._left.wait()
                    continue
                await self._take(await wake_ups.take(room))
        finally:
            await wake_ups.close()

    async def _watch(self) -> None:
        """The net under wake-ups and nudges: see for ourselves what has come from outside, and what
        is ours.
        """
        while True:
            await asyncio.sleep(worker_limits.POLL_SECONDS)
            drivers = {runs.stream_of(run_id): driver for run_id, driver in self._drivers.items()}
            with contextlib.suppress(*database.LOST):
                versions = await self._log.versions_of(list(drivers))
                for stream, driver in drivers.items():
                    if driver.has_children or versions.get(stream, 0) > driver.durable:
                        driver.nudge()
                for run_id in await self._strays.find(self._driving):
                    if len(self._driving) < worker_limits.EXECUTOR_RUNS_MAX:
                        log.warning("run.strayed", run=run_id)
                        await self._take(ReceivedWakeUp(WakeUp(run_id)))

    def _nudge(self, run_id: str) -> None:
        driver = self._drivers.get(run_id)
        if driver is not None:
            driver.nudge()

    async def _take(self, wake_up: ReceivedWakeUp) -> None:
        run_id = wake_up.run_id
        if run_id in self._driving:
            self._nudge(run_id)
            await wake_up.answer()
            return
        task = asyncio.create_task(self._attend(wake_up), name=f"run {run_id}")
        self._driving[run_id] = task
        task.add_done_callback(partial(self._leave, run_id))

    def _leave(self, run_id: str, task: asyncio.Task[None]) -> None:
        del self._driving[run_id]
        self._left.set()
        if not task.cancelled() and task.exception() is not None:
            # If it is still ours, the next look at what strays finds it.
            log.error("run.dropped", run=run_id, exc_info=task.exception())

    async def _attend(self, wake_up: ReceivedWakeUp) -> None:
        """Drive the run until it has ended, is suspended or is another's."""
        run_id = wake_up.run_id
        failures = loads = 0
        while True:
            try:
                await self._drive(wake_up, failures)
            except NotLoaded as error:
                loads += 1
                log.error("run.not_loaded", run=run_id, times=loads, exc_info=error.__cause__)
                if isinstance(error.__cause__, MemoryError):
                    await self._run_out_over(wake_up, str(error))
                    return
                if loads < worker_limits.RUN_LOADS_MAX or not await self._park(run_id, str(error)):
                    await asyncio.sleep(worker_limits.POLL_SECONDS)
                    continue
            except NoRoom:
                # Its place goes to others; whoever woke it up does so again.
                log.info("run.no_room", run=run_id)
            except MemoryError:
                # Nobody says that it is free: who claims it next takes this for our death over it.
                log.exception("run.out_of_memory", run=run_id)
                process.out_of_memory()
                return
            except RunLost:
                # Its stream is not as we believed; whether it is another's now, the stream tells.
                log.info("run.lost", run=run_id)
                await asyncio.sleep(database_limits.DATABASE_AGAIN_SECONDS)
                continue
            except (Unavailable, Conflict, *database.LOST) as error:
                # The run is ours and nobody else will take it: go on when that is possible.
                log.warning("run.interrupted", run=run_id, error=str(error))
                await asyncio.sleep(worker_limits.POLL_SECONDS)
                continue
            except (Exception, asyncio.CancelledError):
                # Cancelled by nobody here, it is a fault as any other.
                process.stop_if_cancelled()
                failures += 1
                log.exception("run.crashed", run=run_id, failures=failures)
                await asyncio.sleep(worker_limits.POLL_SECONDS)
                continue
            await wake_up.answer()
            return

    async def _drive(self, wake_up: ReceivedWakeUp, failures: int) -> None:
        run = await self._load(wake_up)
        if run is None or not await self._may_claim(run):
            return
        suspicion = await self._suspicion(run)
        if suspicion.is_proof:
            error = f"Parked: {suspicion.subject} ended its worker {suspicion.deaths} times"
            await self._give_up(run, error)
        elif failures >= worker_limits.RUN_CRASHES_MAX:
            await self._give_up(run, INSIDE)
        elif suspicion.is_any:
            async with self._suspects.watched(run, self._lease.worker, suspicion) as watch:
                await self._in_hand(run, wake_up, watch)
        else:
            await self._in_hand(run, wake_up)

    async def _load(self, wake_up: ReceivedWakeUp) -> Run | None:
        """The run, None when there is none. Raises NotLoaded for one that cannot be read."""
        try:
            return await self._loader.get(wake_up)
        except (Unavailable, *database.LOST):
            raise
        except Exception as error:
            raise NotLoaded(f"{type(error).__name__}: {error}") from error

    async def _run_out_over(self, wake_up: ReceivedWakeUp, reason: str) -> None:
        """Set a run aside that there is no memory for, and end: the next worker begins with what
        does not need so much.
        """
        if await self._park(wake_up.run_id, reason):
            await wake_up.answer()
        process.out_of_memory()

    async def _park(self, run_id: str, reason: str) -> bool:
        """Give the run's place to others, and let it be tried again later. Whether that worked."""
        try:
            await control.park(
                self._dependencies.repository,
                self._lease.worker,
                run_id,
                reason,
                self._lease.is_held,
            )
        except (DomainError, *database.LOST) as error:
            log.warning("run.not_parked", run=run_id, error=repr(error))
            return False
        return True

    async def _suspicion(self, run: Run) -> Suspicion:
        """Whether the run may end this process."""
        suspicion = run.suspicion(self._lease.worker)
        if not suspicion.is_any:
            return suspicion
        living = await self._lease.living(run.lost_workers())
        return run.suspicion(self._lease.worker, living)

    async def _give_up(self, run: Run, error: str) -> None:
        """End the run without handling anything of it."""
        writer = RunWriter(run, self._dependencies)
        writer.claim()
        await RunDriver(writer, self._dependencies).fail(error)
        await self._loader.put(run)

    async def _in_hand(self, run: Run, wake_up: ReceivedWakeUp, watch: Watch | None = None) -> None:
        writer = RunWriter(run, self._dependencies, watch.look if watch else None)
        writer.claim(alone=watch is not None and watch.is_alone)
        driver = RunDriver(writer, self._dependencies)
        self._drivers[run.run_id] = driver

        async def claimed() -> None:
            await wake_up.answer()
            if watch is not None:
                watch.begin(driver.survive)

        began = driver.durable
        try:
            await driver.to_end(claimed)
        except MemoryError as error:
            if driver.durable > began:
                raise
            raise NotLoaded(f"{type(error).__name__}: before it was claimed") from error
        finally:
            del self._drivers[run.run_id]
        await self._loader.put(run)

    async def _may_claim(self, run: Run) -> bool:
        """Whether the run wants a worker, and has none that lives.

        A paused one whose worker died is claimed too, to say that nobody has it in hand any more.
        """
        if run.is_ended:
            return False
        if run.worker is None:
            return run.is_stopping or not run.is_paused
        return run.worker == self._lease.worker or not await self._lease.is_held(run.worker)

    async def _let_go(self) -> None:
        """Let what is at work end if it is quick, and say of every run that it is free."""
        tasks = list(self._driving.values())
        for run_id, task in self._driving.items():
            if run_id in self._drivers:
                self._drivers[run_id].leave()
            else:
                task.cancel()
        if tasks:
            await asyncio.wait(
                tasks, timeout=worker_limits.LEAVE_SECONDS_MAX + worker_limits.LEAVE_SECONDS
            )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(*database.LOST):
            await self._lease.give_up()
        await self._log.close()
        await self._http.close()
        await self._renderers.close()
