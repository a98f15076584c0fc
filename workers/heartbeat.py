"""Saying again and again that this process lives.

It is said from a thread: a loop that computes for long, as when one node's ten thousand values go
over many links, is alive all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Timer
from typing import Any

import structlog
from psycopg import Connection

from domain import limits
from runtime import database
from runtime.database import Row

log = structlog.get_logger()

Say = Callable[[Connection[Row]], None]


class PunctualConnection(Connection[Row]):
    """Waits for no answer for so long that a lease would run out: a session may hang alone."""

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        timer = Timer(limits.HEARTBEAT_ANSWER_SECONDS_MAX, database.shut, [self])
        timer.daemon = True
        timer.start()
        try:
            return super().wait(*args, **kwargs)
        finally:
            timer.cancel()


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
    beating = loop.run_in_executor(own, _beat, database_url, application, say, seconds, stopped)
    own.shutdown(wait=False)
    try:
        await asyncio.shield(beating)
    finally:
        stopped.set()
        # Nothing is said any more when this has ended.
        await beating


def connect(database_url: str, application: str) -> Connection[Row]:
    """A connection as `say` gets it. Raises psycopg.OperationalError."""
    parameters = database.conninfo(database_url, application)
    return PunctualConnection.connect(parameters, autocommit=True)


def _beat(database_url: str, application: str, say: Say, seconds: float, stopped: Event) -> None:
    while not stopped.wait(seconds):
        try:
            with connect(database_url, application) as connection:
                say(connection)
                while not stopped.wait(seconds):
                    say(connection)
        except database.LOST as error:
            log.warning("heartbeat.missed", application=application, error=str(error))
