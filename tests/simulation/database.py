"""The simulated database server: statements reach it late, in any order, or never.

A statement is one moment's work on the tables. Whoever asked may be gone when its turn comes, and
it may be done although its answer is lost.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg

from tests.simulation.loop import OWNER, Process
from tests.simulation.tables import Row, Tables

T = TypeVar("T")

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

TRAVEL_SECONDS = 0.001
"""How long a statement or an answer is under way, on the average."""
SLOW_TRAVEL_SECONDS = 0.2
SLOW_SHARE = 0.01


class Line:
    """A connection, or what the server has of it: a session."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.silent_until = 0.0
        """Until then the server process of this session does nothing."""
        self.is_lost = False
        """The client will hear nothing any more; what the server has got it may still do."""
        self.is_over = False
        """The server process is gone,"""
        self.is_known_over = False
        """which the client learns when it uses the session."""
        self._waiting: set[asyncio.Future[Any]] = set()
        self.ended: list[Callable[[], None]] = []
        """Called when the session ends."""
        self.owner = OWNER.get(None)
        if self.owner is not None:
            self.owner.ended.append(self.close)

    def close(self) -> None:
        """End it from the client's side."""
        self.is_lost = True
        self._end()

    def hang_up(self) -> None:
        """Leave a server that does not answer, which may notice later than it goes on."""
        self.is_lost = True

    def break_off(self) -> None:
        """End it from the server's side, in the middle of whatever it does."""
        self.is_over = True
        self._end()
        waiting, self._waiting = self._waiting, set()
        for answer in waiting:
            if not answer.done():
                _refuse(answer, psycopg.OperationalError("the connection was lost"))

    async def ask(self, work: Callable[[], T]) -> T:
        """Have the server do something. Raises psycopg.OperationalError, and what it raises."""
        return await self._server.ask(self, work)

    def wait(self, answer: asyncio.Future[Any]) -> None:
        self._waiting.add(answer)
        answer.add_done_callback(self._waiting.discard)

    def _end(self) -> None:
        ended, self.ended = self.ended, []
        for end in ended:
            end()


class Server:
    """One database server, which may be away, or hang."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        chance: random.Random,
        tables: Tables,
        outside: Context,
    ) -> None:
        self.tables = tables
        self.is_down = False
        self.silent_until = 0.0
        self.grown: list[Callable[[int], None]] = []
        """Called with the head of the log when that has grown, after a while."""
        self.appended: list[Callable[[Sequence[Row]], None]] = []
        """Called with what has just been appended."""
        self._loop = loop
        self._chance = chance
        self._outside = outside
        self._lines: list[Line] = []

    @property
    def moment(self) -> datetime:
        """The database's clock."""
        return BEGINNING + timedelta(seconds=self._loop.time())

    def connect(self) -> Line:
        """A new session. Raises psycopg.OperationalError while the server is down."""
        if self.is_down:
            raise psycopg.OperationalError("the server does not answer")
        line = Line(self)
        self._lines.append(line)
        return line

    def go_down(self) -> None:
        """End every session at once; nobody can connect."""
        self.is_down = True
        lines, self._lines = self._lines, []
        for line in lines:
            line.break_off()

    def come_up(self) -> None:
        self.is_down = False

    def silence(self, seconds: float) -> None:
        """Do nothing for so long, and then go on as if nothing had happened."""
        self.silent_until = self._loop.time() + seconds

    def lines_of(self, process: Process) -> list[Line]:
        """The sessions of a process."""
        return [line for line in self._lines if line.owner is process and not line.is_lost]

    async def ask(self, line: Line, work: Callable[[], T]) -> T:
        if line.is_over or line.is_lost:
            line.is_known_over = True
            raise psycopg.OperationalError("the connection is closed")
        answer: asyncio.Future[T] = self._loop.create_future()
        line.wait(answer)
        self._loop.call_later(self._travel(), self._do, line, work, answer, context=self._outside)
        return await answer

    def notify(self, first: int, after: float) -> None:
        """Tell whoever listens that the log has grown from position `first` on, not at once."""
        for look in tuple(self.appended):
            look(self.tables.rows[first - 1 :])
        self._loop.call_later(after, self._announce, context=self._outside)

    def _announce(self) -> None:
        for listener in self.grown:
            self._loop.call_later(self._travel(), listener, self.tables.head, context=self._outside)

    def _do(self, line: Line, work: Callable[[], T], answer: asyncio.Future[T]) -> None:
        until = max(self.silent_until, line.silent_until)
        if until > self._loop.time():
            self._loop.call_at(until, self._do, line, work, answer, context=self._outside)
            return
        if line.is_over:
            return
        try:
            done = work()
        except Later as later:
            self._loop.call_later(
                later.seconds, self._do, line, work, answer, context=self._outside
            )
        except Exception as error:  # noqa: BLE001 - it is the answer
            self._loop.call_later(self._travel(), _fail, line, answer, error, context=self._outside)
        else:
            self._loop.call_later(self._travel(), _tell, line, answer, done, context=self._outside)

    def _travel(self) -> float:
        mean = SLOW_TRAVEL_SECONDS if self._chance.random() < SLOW_SHARE else TRAVEL_SECONDS
        return self._chance.expovariate(1 / mean)


class Later(Exception):
    """A statement waits for a lock, and looks again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def _tell(line: Line, answer: asyncio.Future[T], done: T) -> None:
    if not (answer.done() or line.is_lost):
        answer.set_result(done)


def _fail(line: Line, answer: asyncio.Future[Any], error: Exception) -> None:
    if not (answer.done() or line.is_lost):
        _refuse(answer, error)


def _refuse(answer: asyncio.Future[Any], error: Exception) -> None:
    answer.set_exception(error)
    # Whoever asked may have died meanwhile, and nobody else wants to hear of it.
    answer.exception()
