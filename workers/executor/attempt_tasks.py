"""What a run has at work: attempts that take time, and moments that it waits for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial

import structlog

from domain.engine.execution import Execution
from domain.limits import worker_limits
from runtime import clock
from workers.executor.run_writer import Result

log = structlog.get_logger()

Missed = Callable[[BaseException], Result]
"""What becomes of an attempt that its block has ended in this way."""


class AttemptTasks:
    """The work of one run. `results` and `due` are what has come of it and is not recorded yet."""

    def __init__(self, run_id: str) -> None:
        self.results: deque[Result] = deque()
        self.due: deque[Execution] = deque()
        """Executions that go on now."""
        self._run_id = run_id
        self._tasks: set[asyncio.Task[Result]] = set()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._broken: BaseException | None = None
        self._stirred = asyncio.Event()
        self._is_given_up = False

    @property
    def count(self) -> int:
        """How many attempts take their time."""
        return len(self._tasks)

    @property
    def is_any(self) -> bool:
        """Something is at work, or its result waits to be recorded."""
        return bool(self._tasks or self.results)

    def stir(self) -> None:
        """Say that something has happened."""
        self._stirred.set()

    async def stirred(self, seconds: float | None) -> None:
        """Wait until something happens, at most so long. Raises what no attempt should."""
        if seconds is None:
            await self._stirred.wait()
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stirred.wait()
        self._stirred.clear()
        if self._broken is not None:
            raise self._broken

    def keep(self, result: Result) -> None:
        """Take a result, to be recorded in its turn."""
        self.results.append(result)
        self.stir()

    def spawn(self, attempt: Coroutine[None, None, Result], missed: Missed) -> None:
        """Run what takes time, and keep its result; when it gives none, that of `missed`."""
        task = asyncio.create_task(attempt)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, missed))

    def wait(self, execution: Execution) -> None:
        """Go on with the execution when its moment has come."""
        assert execution.until is not None
        seconds = max(0.0, (execution.until - clock.now()).total_seconds())
        loop = asyncio.get_running_loop()
        self._timers[execution.number] = loop.call_later(seconds, self._fall_due, execution)

    async def give_up(self) -> None:
        """End all of it. Who takes the run next begins it anew, and shall not do so beside what
        still cleans up; but neither does it wait for that for ever.
        """
        self._is_given_up = True
        for timer in self._timers.values():
            timer.cancel()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=worker_limits.CLEAN_UP_SECONDS_MAX)
            if late:
                log.warning("run.still_at_work", run=self._run_id, attempts=len(late))

    def _fall_due(self, execution: Execution) -> None:
        if execution.until is not None and clock.now() < execution.until:
            self.wait(execution)  # the loop's clock is coarser
            return
        self._timers.pop(execution.number, None)
        self.due.append(execution)
        self.stir()

    def _finished(self, missed: Missed, task: asyncio.Task[Result]) -> None:
        self._tasks.discard(task)
        try:
            self.results.append(self._result(missed, task))
        except BaseException as error:  # noqa: BLE001 - who drives the run raises it
            self._broken = error
        self.stir()

    def _result(self, missed: Missed, task: asyncio.Task[Result]) -> Result:
        try:
            return task.result()
        except (asyncio.CancelledError, GeneratorExit) as error:
            if self._is_given_up:
                raise
            # Nobody wanted that but the block, or something that it waited for.
            return missed(error)
