"""The sweeper: finds runs that should move and do not, and sees to it that they do.

It is the net under every process that can die: a run whose worker has lost its lease, a run that
nobody woke up, a sub-graph whose parent has ended. It also forgets receipts that nobody may
repeat any more. What there is too much of is gone through in portions, round after round.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, LiteralString

import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from commands.runs import control
from domain.errors import DomainError
from domain.limits import log_limits, worker_limits
from domain.runs import stream_of
from runtime import clock, database, nats, sql
from runtime.aggregates.repository import Repository
from runtime.broker import Broker
from runtime.database import Row
from runtime.embedded.postgres import database_url
from runtime.eventlog.log import EventLog
from runtime.eventlog.reader import GapFound
from runtime.nats import WakeUp
from runtime.process import stop_if_cancelled
from runtime.settings import Settings
from workers import wake_ups
from workers.claims import LET_GO, LIST_LAST_TOPICS, Claims

log = structlog.get_logger()

LIST_LEASES = sql.load(__file__, "list_leases")
FIND_ABANDONED = sql.load(__file__, "find_abandoned_runs")
FIND_FORGOTTEN = sql.load(__file__, "find_forgotten_runs")
FIND_ORPHANS = sql.load(__file__, "find_orphans")
DELETE_RECEIPTS = sql.load(__file__, "delete_old_receipts")

Stop = Callable[[str], Awaitable[object]]
"""Ends the run of this id. Raises DomainError when it cannot now."""

Pool = AsyncConnectionPool[AsyncConnection[Row]]
Stuck = tuple[str, object]
"""A run, and why: the worker that it lost, or the position at which it was forgotten."""


class Round:
    """A way through all rows that a query finds, in the order of its first columns.

    These are its `keys`; after the last portion the next round begins.
    """

    def __init__(self, *keys: str) -> None:
        self._keys = keys
        self._after = dict.fromkeys(keys, "")
        self.begins = True
        """Whether the next portion is the first one of a round."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Where the next portion begins, and how large it may be."""
        return {**self._after, "limit": worker_limits.SWEEP_RUNS_MAX}

    def pass_on(self, portion: Sequence[Row]) -> None:
        """Go on after this portion."""
        self.begins = len(portion) < worker_limits.SWEEP_RUNS_MAX
        values = [""] * len(self._keys) if self.begins else portion[-1]
        self._after = dict(zip(self._keys, values, strict=False))


class Sweeper:
    """Remembers which runs it woke up and why, so that a slow executor is not flooded."""

    def __init__(self, pool: Pool, broker: Broker, stop: Stop) -> None:
        self._pool = pool
        self._broker = broker
        self._stop = stop
        self._claims = Claims()
        self._asked_at = -math.inf
        """Since when leases have been asked for that nobody could renew; inf: they could be."""
        self._settled_at = math.inf
        """From when on a lease that has run out is one that its worker did not renew."""
        self._abandoned = Round("user_id", "run_id")
        self._woken: dict[Stuck, float] = {}
        self._seen: set[Stuck] = set()
        """What was stuck in this round through the abandoned."""
        self._wanting = Round("user_id")
        self._suspects: set[Row] | None = None
        """What was wanting at the first look at this portion; None before that."""
        self._looked_at = -worker_limits.SWEEP_FORGOTTEN_SECONDS
        self._orphans = Round("parent_id", "run_id")

    async def sweep(self) -> list[str]:
        """Wake up every run that should move and return them. Raises database.LOST.

        Runs with a dead worker are woken up at once. That somebody has forgotten a run is believed
        after two looks, and only while no wake-up waits for an executor. What was woken in vain is
        put into the database while wake-ups wait with NATS.
        """
        with suppress(*nats.NatsError):
            await nats.ensure_stream(self._broker.client)
        stuck = await self._find_abandoned()
        now = clock.monotonic()
        if now - self._looked_at >= worker_limits.SWEEP_FORGOTTEN_SECONDS:
            self._looked_at = now
            stuck += await self._find_forgotten()
        return await self._wake_up(stuck, now)

    async def stop_orphans(self) -> list[str]:
        """Stop the unfinished children of runs that have ended, and return them.

        Raises database.LOST.
        """
        portion = await self._find(FIND_ORPHANS, self._orphans.parameters)
        self._orphans.pass_on(portion)
        orphans = [run_id for _, run_id in portion]
        for run_id in orphans:
            try:
                await self._stop(run_id)
            except database.LOST:
                raise
            except DomainError as error:
                log.warning("orphan.not_stopped", run=run_id, error=str(error))
            except Exception:
                # It may be unreadable for ever, and the others are not to blame.
                log.exception("orphan.not_stopped", run=run_id)
        return orphans

    async def forget_receipts(self) -> None:
        """Delete receipts that are too old to be asked for. Raises database.LOST."""
        deleted = log_limits.RECEIPTS_PORTION
        while deleted == log_limits.RECEIPTS_PORTION:
            async with self._pool.connection() as connection:
                parameters = (log_limits.RECEIPT_KEEP_SECONDS, log_limits.RECEIPTS_PORTION)
                deleted = (await connection.execute(DELETE_RECEIPTS, parameters)).rowcount
            await asyncio.sleep(log_limits.RECEIPTS_REST_SECONDS)

    async def _find_abandoned(self) -> list[Stuck]:
        """Runs of the dead: by the read model, and by the log where that goes on after it."""
        living = await self._living()
        portion = await self._find(FIND_ABANDONED, {"living": living, **self._abandoned.parameters})
        self._abandoned.pass_on(portion)
        stuck: dict[Stuck, None] = {(run_id, worker): None for _, run_id, worker in portion}
        try:
            async with self._pool.connection() as connection:
                claims = await self._claims.follow(connection)
        except GapFound as error:
            log.error("sweeper.log_unreadable", error=str(error))
        else:
            known = set(living)
            unseen = (claim for claim in claims if claim.worker not in known)
            stuck |= {(claim.run_id, claim.worker): None for claim in unseen}
        return await self._in_hand(list(stuck))

    async def _living(self) -> list[str]:
        """Workers whose leases run. Behind an outage these are all that have one, and while the
        database takes no changes: nobody could renew it.
        """
        self._asked_at = min(self._asked_at, clock.monotonic())
        leases = await self._find(LIST_LEASES, {})
        if any(is_closed for _, _, is_closed in leases):
            return [worker for worker, _, _ in leases]
        now = clock.monotonic()
        if now - self._asked_at > worker_limits.SWEEP_SECONDS:
            self._settled_at = now + worker_limits.LEASE_SECONDS
        self._asked_at = math.inf
        return [worker for worker, runs, _ in leases if runs or now < self._settled_at]

    async def _in_hand(self, stuck: list[Stuck]) -> list[Stuck]:
        """Those that nobody has let go of since, which the read model may not know."""
        if not stuck:
            return []
        repository = [stream_of(run_id) for run_id, _ in stuck]
        last = await self._find(LIST_LAST_TOPICS, (repository,))
        free = {stream for stream, topic in last if topic in LET_GO}
        return [row for row in stuck if stream_of(row[0]) not in free]

    async def _find_forgotten(self) -> list[Stuck]:
        if await self._are_waiting():
            self._suspects = None
            return []
        portion = await self._find(FIND_FORGOTTEN, self._wanting.parameters)
        found, before = set(portion), self._suspects
        self._suspects = found
        if before is None:
            return []
        was_first = self._wanting.begins
        self._wanting.pass_on(portion)
        if not (was_first and self._wanting.begins):
            self._suspects = None
        return [(run_id, position) for _, run_id, position in found & before]

    async def _wake_up(self, stuck: Collection[Stuck], now: float) -> list[str]:
        since = now - worker_limits.SWEEP_AGAIN_SECONDS
        again = {row for row in stuck if row in self._woken and self._woken[row] <= since}
        in_vain = again if again and await self._are_waiting() else set()
        if in_vain:
            # Their wake-ups may be among these. Perhaps executors do not hear NATS but the database
            # they do.
            async with self._pool.connection() as connection:
                await wake_ups.put(connection, [run_id for run_id, _ in in_vain])
        due = [row for row in stuck if row not in self._woken or row in again - in_vain]
        if due:
            async with self._pool.connection() as connection:
                await wake_ups.send(self._broker, connection, [WakeUp(run_id) for run_id, _ in due])
            log.info("sweeper.woke_up", runs=len(due))
        self._woken |= dict.fromkeys((*due, *in_vain), now)
        self._seen.update(stuck)
        if self._abandoned.begins:
            self._woken = {row: at for row, at in self._woken.items() if row in self._seen}
            self._seen.clear()
        return [run_id for run_id, _ in due]

    async def _are_waiting(self) -> bool:
        """Whether wake-ups wait for an executor; with a NATS that is not heard there are none."""
        with suppress(*nats.NatsError):
            return await nats.waiting_wake_ups(self._broker.client) > 0
        return False

    async def _find(self, query: LiteralString, parameters: Any) -> list[Row]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, parameters)
            return await cursor.fetchall()


async def serve(settings: Settings) -> None:
    """Run until cancelled."""
    broker = Broker(settings, "sweeper")
    broker.open()
    event_log = EventLog(database_url(settings), "sweeper")
    await event_log.open()
    stop = partial(control.stop_orphan, Repository(event_log))
    sweeper = Sweeper(event_log.pool, broker, stop)
    try:
        async with asyncio.TaskGroup() as chores:
            for chore in (sweeper.sweep, sweeper.stop_orphans, sweeper.forget_receipts):
                chores.create_task(_repeat(chore), name=chore.__name__)
    finally:
        await event_log.close()
        await broker.close()


async def _repeat(chore: Callable[[], Awaitable[object]]) -> None:
    """See to it again and again, whatever comes of it: it must not keep the others from theirs."""
    name = getattr(chore, "__name__", "")
    while True:
        try:
            await chore()
        except database.LOST as error:
            log.warning("sweeper.interrupted", chore=name, error=repr(error))
        except Exception:
            log.exception("sweeper.failed", chore=name)
        stop_if_cancelled()
        await asyncio.sleep(worker_limits.SWEEP_SECONDS)
