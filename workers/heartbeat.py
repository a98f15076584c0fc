"""Saying again and again that this process lives.

It is said from a thread: a loop that computes for long, as when one node's ten thousand values go
over many links, is alive all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import NoReturn

import psycopg
import structlog
from psycopg import Connection

from domain.limits import worker_limits
from runtime import clock, database
from runtime.database import Row

log = structlog.get_logger()

Say = Callable[[Connection[Row]], None]


class _Asked:
    """What is asked over the connection at this moment, and since when by the monotonic clock."""

    def __init__(self) -> None:
        self._question: tuple[Connection[Row], float] | None = None

    def say(self, say: Say, connection: Connection[Row]) -> None:
        self._question = connection, clock.monotonic()
        try:
            say(connection)
        finally:
            self._question = None

    async def watch(self) -> NoReturn:
        """Hang up on a session that does not answer for so long that a lease would run out: it may
        hang alone. Nothing in the thread could do it, which waits for that answer.
        """
        while True:
            await asyncio.sleep(worker_limits.HEARTBEAT_LOOK_SECONDS)
            if self._question is not None:
                connection, since = self._question
                if clock.monotonic() - since > worker_limits.HEARTBEAT_ANSWER_SECONDS_MAX:
                    database.shut(connection)


async def beat(database_url: str, application: str, say: Say, seconds: float) -> None:
    """Call `say` every so many seconds, over a connection of its own, until cancelled.

    A connection that is lost is replaced. Raises whatever else `say` raises, after which it is
    called no more.
    """
    stopped = Event()
    # Not one of the threads that all else in the process shares: it would take one away for good,
    # and where none is left nothing would be said.
    own = ThreadPoolExecutor(1, thread_name_prefix="heartbeat")
    loop = asyncio.get_running_loop()
    asked = _Asked()
    beating = loop.run_in_executor(
        own, _beat, database_url, application, partial(asked.say, say), seconds, stopped
    )
    own.shutdown(wait=False)
    watching = asyncio.create_task(asked.watch())
    try:
        await asyncio.shield(beating)
    finally:
        stopped.set()
        # Nothing is said any more when this has ended.
        try:
            await beating
        finally:
            watching.cancel()


def connect(database_url: str, application: str) -> Connection[Row]:
    """A connection as `say` gets it. Raises psycopg.OperationalError."""
    return psycopg.connect(database.conninfo(database_url, application), autocommit=True)


def _beat(database_url: str, application: str, say: Say, seconds: float, stopped: Event) -> None:
    while not stopped.wait(seconds):
        try:
            with connect(database_url, application) as connection:
                say(connection)
                while not stopped.wait(seconds):
                    say(connection)
        except database.LOST as error:
            log.warning("heartbeat.missed", application=application, error=str(error))
