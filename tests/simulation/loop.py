"""An event loop in virtual time, in which processes can be stopped and killed.

Whatever runs belongs to the process in whose context it was begun, or to the world outside. Who of
those that can move moves next is drawn; within one process the order is that of asyncio. When
nobody can move, time goes on to the next timer.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from enum import Enum, auto
from heapq import heappop, heappush
from typing import Any, TypeVar, TypeVarTuple
from weakref import WeakSet

from runtime.clock import Clock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CALLS_AT_ONE_MOMENT_MAX = 200_000


class Livelock(Exception):
    """Somebody goes on and on without letting time pass."""


class Deadlock(Exception):
    """Nobody will ever move again."""


class State(Enum):
    RUNNING = auto()
    STOPPED = auto()
    DEAD = auto()


class Process:
    """One process of the simulated installation: what it runs waits here for its turn."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.state = State.RUNNING
        self.ready: deque[asyncio.Handle] = deque()
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.remains: list[object] = []
        """What a dead one leaves: nothing of it may ever run, not even its `finally`."""
        self.ended: list[Callable[[], None]] = []
        """Called when it dies, as a kernel closes connections."""

    def stop(self) -> None:
        """As SIGSTOP does."""
        if self.state is State.RUNNING:
            self.state = State.STOPPED

    def go_on(self) -> None:
        """As SIGCONT does."""
        if self.state is State.STOPPED:
            self.state = State.RUNNING

    def kill(self) -> None:
        """As SIGKILL does."""
        if self.state is State.DEAD:
            return
        self.state = State.DEAD
        self.remains += [*self.tasks, *self.ready]
        self.ready.clear()
        for close in self.ended:
            close()

    @property
    def is_dead(self) -> bool:
        return self.state is State.DEAD


OWNER: ContextVar[Process] = ContextVar("owner")


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs what one world needs, and not more than asyncio's own parts ask for."""

    def __init__(self, chance: random.Random, outside: Process) -> None:
        self._chance = chance
        self._processes = [outside]
        self._dead: list[Process] = []
        """Kept to the end: what is collected would run its `finally`."""
        self._timers: list[tuple[float, int, Process, asyncio.TimerHandle]] = []
        self._count = 0
        self._now = 0.0
        self._is_closed = False
        self.complaints: list[str] = []
        """What asyncio had to say about exceptions that nobody took."""

    def run(self, main: Coroutine[Any, Any, T], context: Context) -> T:
        """Run until `main` is done, in the world outside. Raises what it raises, Deadlock and
        Livelock.
        """
        asyncio.events._set_running_loop(self)
        try:
            task = self.create_task(main, context=context)
            while not task.done():
                self._move()
            return task.result()
        finally:
            asyncio.events._set_running_loop(None)

    def abandon(self) -> None:
        """End the world: nothing of it runs any more."""
        self._is_closed = True
        self._timers.clear()
        for process in (*self._processes, *self._dead):
            process.state = State.DEAD
            process.ready.clear()
            for task in process.tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._append(self._owner(context), handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heappush(self._timers, (when, self._count, self._owner(context), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        context = copy_context() if context is None else context
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._owner(context).tasks.add(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._is_closed

    def is_closed(self) -> bool:
        return self._is_closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._is_closed:
            self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time comes."""

    def _owner(self, context: Context) -> Process:
        return context.get(OWNER, self._processes[0])

    def _append(self, owner: Process, handle: asyncio.Handle) -> None:
        if owner.is_dead:
            owner.remains.append(handle)
            return
        if owner not in self._processes:
            self._processes.append(owner)
        owner.ready.append(handle)

    def _move(self) -> None:
        """Let time pass if nobody can move, and then move all that can at this moment."""
        if not self._movable():
            self._pass_time()
        calls = 0
        while movable := self._movable():
            process = movable[0] if len(movable) == 1 else self._chance.choice(movable)
            handle = process.ready.popleft()
            if not handle.cancelled():
                handle._run()
            calls += 1
            if calls > CALLS_AT_ONE_MOMENT_MAX:
                raise Livelock(f"{process.name} at {self._now:.3f}")

    def _movable(self) -> list[Process]:
        return [p for p in self._processes if p.ready and p.state is State.RUNNING]

    def _pass_time(self) -> None:
        """Go on to the next timer, and to all others of that moment."""
        self._dead += [process for process in self._processes if process.is_dead]
        self._processes = [process for process in self._processes if not process.is_dead]
        while self._timers and self._timers[0][3].cancelled():
            heappop(self._timers)
        if not self._timers:
            raise Deadlock(f"at {self._now:.3f}")
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            _, _, owner, handle = heappop(self._timers)
            if not handle.cancelled():
                self._append(owner, handle)
