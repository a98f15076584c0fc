"""The life of a process: settings, logs, event loop, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, NoReturn

import structlog
import uvloop

from domain.limits import process_limits
from runtime import failpoints, logs, memory, parent_watch, settings
from runtime.embedded import folder, passage, privileges
from runtime.embedded.child import StartError
from runtime.settings import Settings, SettingsError

log = structlog.get_logger()

DONE = 0
FAILED = 1
MISUSED = 2


def run(
    name: str,
    main: Callable[[Settings], Awaitable[None]],
    environ: Mapping[str, str] | None = None,
    *,
    for_others: bool = False,
) -> int:
    """Live as the process `name`: call `main` until it returns or somebody asks it to stop.

    With `for_others`, root prepares to become another user, or to start processes of others.

    The first SIGINT or SIGTERM cancels `main`, a second one ends the process at once. A child of
    a supervisor begins when told to, and stops when its supervisor dies. Returns the exit code.
    """
    try:
        config = settings.load(environ)
        failpoints.arm(config.failpoint)
    except (SettingsError, ValueError) as error:
        return refuse(error, MISUSED)
    privileges.gain_none()
    if for_others and os.geteuid() == 0:
        try:
            folder.make(config.data_dir)
            privileges.own_account()
            passage.clear(config.data_dir)
        except StartError as error:
            return refuse(error, FAILED)
    logs.setup(config.worker_name or name, config.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Life(main, config).live())


def stop_if_cancelled() -> None:
    """Raise CancelledError if this task was cancelled and a library swallowed it.

    In Python 3.11 `asyncio.wait_for`, which nats-py uses, drops a cancellation that comes
    together with its result. Loops that call it ask here.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def end_at_once() -> NoReturn:
    """End this process as a `kill -9` would: nothing that it still wants to do may happen."""
    os._exit(FAILED)


def keep_vital(task: asyncio.Task[None]) -> asyncio.Task[None]:
    """End this process at once if the task fails: what waits for it would wait for ever."""
    task.add_done_callback(_mourn)
    return task


def _mourn(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("process.crippled", task=task.get_name(), exc_info=error)
        end_at_once()


def out_of_memory() -> None:
    """Have this process end in order, so that its supervisor starts another: what found no memory
    once would find none again, and others with it.

    For at most STOP_SECONDS_MAX, since to end in order may want memory too.
    """
    if _Life.present is not None:
        _Life.present.give_up()


def refuse(error: Exception, code: int) -> int:
    """Tell the person at the terminal why not. Returns `code`."""
    sys.stderr.write(f"evergraph: {error}\n")
    return code


class _Life:
    present: ClassVar[_Life | None] = None
    """None where no process is ours, as in a test."""

    def __init__(self, main: Callable[[Settings], Awaitable[None]], config: Settings) -> None:
        self._main = main
        self._config = config
        self._may_begin = asyncio.Event()
        self._is_asked_to_stop = False
        self._is_given_up = False

    async def live(self) -> int:
        self._task = asyncio.ensure_future(self._begin())
        _Life.present = self
        self._listen()
        await asyncio.wait({self._task})
        if self._task.cancelled():
            return DONE if self._is_asked_to_stop else FAILED
        error = self._task.exception()
        if isinstance(error, StartError | SettingsError):
            return refuse(error, FAILED)
        if error is not None:
            log.error("process.failed", exc_info=error)
            return FAILED
        return DONE

    def give_up(self) -> None:
        """End with a failure, in order. Once is enough."""
        if not self._is_given_up:
            self._is_given_up = True
            log.error("process.out_of_memory")
            asyncio.get_running_loop().call_later(process_limits.STOP_SECONDS_MAX, end_at_once)
            self._task.cancel()

    async def _begin(self) -> None:
        await self._may_begin.wait()
        with memory.settled():
            await self._main(self._config)

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, self._stop)
        supervisor = settings.parent_fd()
        if supervisor is None:
            self._may_begin.set()
        else:
            parent_watch.hold(
                supervisor,
                on_go=lambda: _call(loop, self._may_begin.set),
                on_end=lambda: _call(loop, self._stop),
            )

    def _stop(self) -> None:
        if self._is_asked_to_stop:
            os._exit(FAILED)
        self._is_asked_to_stop = True
        self._task.cancel()


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call on the loop's thread, unless the loop has ended meanwhile."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)
