"""One at a time: the right to be the projector or the relay, as a lease that is renewed.

A leader that dies is followed at once: its session ends, and with it the lock of its epoch. One
that hangs is followed when its lease has run out. It may wake up at any instruction, so whatever
it writes for good is fenced: by its epoch, or by a checkpoint that it must find as it left it.
All times are the database's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog
from psycopg import Connection

from domain.limits import worker_limits
from runtime import clock, database, ids, sql
from runtime.database import PatientConnection, Row
from runtime.embedded.postgres import database_url
from runtime.settings import Settings
from workers import heartbeat

log = structlog.get_logger()

BOUND_TRANSACTIONS = sql.load(__file__, "bound_transactions")
ENSURE = sql.load(__file__, "ensure_role")
TAKE = sql.load(__file__, "take_role")
RENEW = sql.load(__file__, "renew_role")


class Deposed(Exception):
    """The role is another's, or may be: this process must stop and stand for it again."""


class Term:
    """The time for which a process leads. `connection` is for its work; its end ends the term."""

    def __init__(self, connection: PatientConnection, role: str, epoch: int) -> None:
        self.connection = connection
        self.role = role
        self.epoch = epoch
        self._renewed_at = clock.monotonic()
        self._stepped_at: float | None = None

    def note_step(self) -> None:
        """The work has come round once more; from the first time on it must, again and again."""
        self._stepped_at = clock.monotonic()

    def renew(self, connection: Connection[Row]) -> None:
        """Make the lease whole again, from any thread. Raises Deposed or psycopg.Error."""
        began = clock.monotonic()
        if self._hangs(began):
            raise Deposed(f"the work of the {self.role} does not come round")
        parameters = (worker_limits.LEADER_LEASE_SECONDS, self.role, self.epoch)
        row = connection.execute(RENEW, parameters).fetchone()
        if row is None:
            raise Deposed(f"epoch {self.epoch} of the {self.role} is over")
        moment, has_lapsed = row
        clock.follow(moment, began)
        self._renewed_at = began
        if has_lapsed:
            log.warning("role.lapsed", role=self.role, epoch=self.epoch)

    def _hangs(self, now: float) -> bool:
        return (
            self._stepped_at is not None
            and now - self._stepped_at > worker_limits.LEADER_STEP_SECONDS_MAX
        )

    async def watch(self) -> NoReturn:
        """Raise Deposed when the lease must have run out because it could not be renewed."""
        while clock.monotonic() - self._renewed_at < worker_limits.LEADER_LEASE_SECONDS:  # noqa: ASYNC110
            await asyncio.sleep(worker_limits.LEADER_RENEW_SECONDS)
        raise Deposed(f"the lease of the {self.role} was not renewed in time")


async def lead(
    settings: Settings,
    role: str,
    work: Callable[[Term], Awaitable[None]],
    check: database.Check,
) -> None:
    """Wait until the role is ours, and do the work that goes with it for as long as it is.

    The connection is given to `check` before its first use.

    Raises Deposed, what the work raises, or psycopg.OperationalError: a lost connection is a lost
    role.
    """
    url = database_url(settings)
    holder = f"{settings.worker_name or role}/{settings.incarnation or ids.new_id()}"
    connection = await database.connect(url, role)
    async with connection:
        await check(connection)
        milliseconds = str(round(worker_limits.LEADER_LEASE_SECONDS * 1_000))
        await connection.execute(BOUND_TRANSACTIONS, (milliseconds,))
        await connection.execute(ENSURE, (role,))
        term = await _take(connection, role, holder)
        await _while_held(url, term, work(term))


async def _take(connection: PatientConnection, role: str, holder: str) -> Term:
    """Stand for the role until it is ours."""
    wanted = {"role": role, "holder": holder, "seconds": worker_limits.LEADER_LEASE_SECONDS}
    is_told = False
    while True:
        asked_at = clock.monotonic()
        cursor = await connection.execute(TAKE, wanted)
        row = await cursor.fetchone()
        if row is not None:
            epoch, predecessor, has_lapsed, moment, _ = row
            clock.follow(moment, asked_at)
            log.info(
                "role.taken",
                role=role,
                epoch=epoch,
                holder=holder,
                predecessor=predecessor,
                has_lapsed=has_lapsed,
            )
            return Term(connection, role, epoch)
        if not is_told:
            is_told = True
            log.info("role.awaited", role=role, holder=holder)
        await asyncio.sleep(worker_limits.POLL_SECONDS)


async def _while_held(url: str, term: Term, work: Awaitable[None]) -> None:
    renewing = heartbeat.beat(
        url, f"{term.role} lease", term.renew, worker_limits.LEADER_RENEW_SECONDS
    )
    # The work last: it may compute for long before it gives way for the first time.
    tasks = [asyncio.ensure_future(part) for part in (renewing, term.watch(), work)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
