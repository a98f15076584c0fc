"""A run's appends: its own events, and what must happen in the same moment elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import structlog

from domain import events as registry
from domain import large_values, runs
from domain.credits import ACCOUNT, Account
from domain.engine import snapshots
from domain.engine.evolve import begin, evolve, route_on
from domain.engine.run import Run
from domain.errors import NoRoom, Unavailable
from domain.events import Event
from domain.limits import database_limits, log_limits, memory_limits, worker_limits
from domain.runs import (
    FROM_OUTSIDE,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeRetried,
    NodeStarted,
    RunClaimed,
    RunSuspended,
)
from runtime import clock, database, failpoints
from runtime.eventlog.errors import VersionConflict
from runtime.eventlog.log import Origin, StreamWrite
from runtime.eventlog.mapper import Encoded, to_encoded, topic_of
from runtime.eventlog.reader import StreamEvent
from workers.executor.dependencies import Dependencies
from workers.executor.run_weigher import RunWeigher

log = structlog.get_logger()
T = TypeVar("T")

QUIET = frozenset(
    map(topic_of, (RunClaimed, NodeStarted, NodeCompleted, NodeFailed, NodeRetried, NodeDeferred))
)
"""Events in the midst of a run, for which nobody but its watchers waits."""

PACKED_BYTES = 4
"""What an event takes in an append beside its own bytes."""

ROW_BYTES = 300
"""What an event takes in the log beside its own bytes: names, moments, indexes."""

Movement = Callable[[Account], Sequence[Event]]
Others = Callable[[], Awaitable[list[StreamWrite]]]
"""Makes the writes to other streams, anew for each try."""


class RunLost(Exception):
    """Another worker has claimed the run, or it has ended; nothing of ours can be appended."""


class Outpaced(Exception):
    """Something came from outside first, and has been folded."""


class AccountBusy(Exception):
    """Others have changed the account again and again; it may be free later."""


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Read from the database, however long it is away.

    What a run has at work goes on meanwhile: whoever gave it up would have to do it again.
    NoRoom is no such case, and raised: others may wait for what the run has.
    """
    while True:
        try:
            return await ask()
        except NoRoom:
            raise
        except (Unavailable, *database.LOST) as error:
            log.warning("run.waits_for_database", error=repr(error))
        await asyncio.sleep(database_limits.DATABASE_AGAIN_SECONDS)


class Result(msgspec.Struct, frozen=True):
    """How a node went, as the log will hold it, and its large values as JSON by hash."""

    encoded: Encoded
    large: Mapping[str, bytes] = {}
    waiting: int | None = None
    """The number of the execution, when another attempt of it is to be made."""


class RunWriter:
    """What happened to a run and is not durable yet.

    `record` folds an event at once and exactly as it will be read back: the stored bytes are what
    is folded, so the run in memory never differs from the one that a restart would see. What came
    from outside meanwhile is folded after it: it routes nothing, so the order does not matter.
    """

    def __init__(
        self, run: Run, dependencies: Dependencies, progressed: Callable[[], None] | None = None
    ) -> None:
        """`progressed` is called whenever something of the run has become durable."""
        assert run.created is not None
        self.run = run
        self._repository = dependencies.repository
        self._turns = dependencies.turns
        self._write_rates = dependencies.paces
        self._worker = dependencies.worker
        self._progressed = progressed
        self._stream = runs.stream_of(run.run_id)
        self._owner = run.created.user_id
        self._origin = Origin(
            owner=self._owner, actor=f"worker:{dependencies.worker}", correlation=UUID(run.run_id)
        )
        self.outside = 0
        """How many events from outside have been folded."""
        self._durable = self._snapshot = run.version
        self._pending: list[Encoded] = []
        self._pending_bytes = 0
        self._large: dict[str, bytes] = {}
        self._weigher = RunWeigher(run)

    @property
    def durable(self) -> int:
        """The version of the stream up to which we know it."""
        return self._durable

    @property
    def is_full(self) -> bool:
        return (
            len(self._pending) >= worker_limits.RUN_FLUSH_EVENTS
            or self._pending_bytes >= worker_limits.RUN_FLUSH_BYTES
        )

    def claim(self, *, alone: bool = False) -> None:
        """Take the run. When that has been flushed it is ours, and a death counts from then on."""
        claimed = RunClaimed(worker=self._worker, alone=alone)
        self._keep_for_flush(to_encoded(claimed))
        evolve(self.run, claimed, clock.now())

    def claim_beside_others(self) -> None:
        """Record that the run is watched no longer; a death from here on proves less."""
        self.record(RunClaimed(worker=self._worker))

    def record(self, event: Event) -> None:
        self.record_result(Result(to_encoded(event)))

    def record_result(self, result: Result) -> None:
        """Record a result; `routed` must follow before the run is looked at."""
        encoded = result.encoded
        self._keep_for_flush(encoded)
        self._weigher.take(encoded.state, *result.large.values())
        happened = _decoded(encoded)
        if result.large:
            self.keep(result.large)
            values: dict[str, Any] = {
                key: msgspec.json.decode(value) for key, value in result.large.items()
            }
            happened = large_values.put_back(happened, values)
        begin(self.run, happened, clock=clock.monotonic)

    async def routed(self) -> None:
        """Deliver all that the last result brought, and let others have their turn in between."""
        while self.run.routing is not None:
            if self._weigher.are_due:
                await self._weigher.weigh()
            await asyncio.sleep(0)
            route_on(self.run, clock.monotonic)
        if self._weigher.are_due:
            await self._weigher.weigh()

    def keep(self, large: Mapping[str, bytes]) -> None:
        """Have large values stored, at the latest before the next event is."""
        self._large.update(large)
        self._pending_bytes += sum(map(len, large.values()))

    async def flush(self, intents: Sequence[NodeStarted] = ()) -> bool:
        """Make everything recorded durable, and with the last of it the intents, folded then.

        False when the run shall pause or stop: then no intent was written, and no effect of them
        may begin. Raises RunLost.
        """
        encoded = [to_encoded(intent) for intent in intents]
        while self._pending:
            chunk = self._next_chunk()
            is_last = len(chunk) == len(self._pending)
            if intents and is_last and _fit(chunk, encoded):
                break
            await self._append(chunk)
            self._forget(len(chunk))
        may_start = not intents or await self._intend(intents, encoded)
        await self._save_snapshot()
        return may_start

    async def flush_with(self, event: Event, others: Others) -> None:
        """Make everything recorded durable, and with the last of it `event` and other writes.

        Raises what `others` raises (then `event` did not happen), and as `flush`.
        """
        if self.is_full:
            await self.flush()
        encoded = to_encoded(event)
        while True:
            try:
                await self._append_with([*self._pending, encoded], others)
                break
            except AccountBusy:
                # What is done need not wait for the account, and would be done again after a crash.
                log.warning("run.waits_for_account", run=self.run.run_id)
                await self.flush()
        self._forget(len(self._pending))
        evolve(self.run, event)

    async def suspend(self, suspended: RunSuspended) -> bool:
        """Make everything recorded durable and `suspended` the last of it. Raises as `flush`.

        False when something came from outside first: the run may have something to do again.
        """
        outside = self.outside
        if self.is_full:
            await self.flush()
        if self.outside != outside:
            return False
        try:
            await self._append([*self._pending, to_encoded(suspended)], strictly=True)
        except Outpaced:
            return False
        self._forget(len(self._pending))
        evolve(self.run, suspended)
        return True

    async def refresh(self) -> None:
        """Fold what came from outside. Raises RunLost."""
        await self._catch_up([])

    def moving(self, movement: Movement) -> Others:
        """A movement of the owner's credits, as writes to be made with an event."""

        async def writes() -> list[StreamWrite]:
            account = await self._repository.load(ACCOUNT, self._owner)
            return account.write(movement(account.state))

        return writes

    async def _intend(self, intents: Sequence[NodeStarted], encoded: Sequence[Encoded]) -> bool:
        while not (self.run.is_paused or self.run.is_stopping):
            try:
                await self._append([*self._pending, *encoded], strictly=True)
            except Outpaced:
                continue
            self._forget(len(self._pending))
            for intent in intents:
                evolve(self.run, intent)
            return True
        await self.flush()
        return False

    def _keep_for_flush(self, encoded: Encoded) -> None:
        self._pending.append(encoded)
        self._pending_bytes += len(encoded.state)

    def _next_chunk(self) -> list[Encoded]:
        size = 0
        for count, encoded in enumerate(self._pending):
            size += len(encoded.state) + PACKED_BYTES
            if count == worker_limits.RUN_FLUSH_EVENTS or (
                count and size > log_limits.APPEND_BYTES_MAX
            ):
                return self._pending[:count]
        return list(self._pending)

    def _forget(self, count: int) -> None:
        del self._pending[:count]
        self._pending_bytes = sum(len(encoded.state) for encoded in self._pending)

    async def _append_with(self, events: list[Encoded], others: Others) -> None:
        """Raises AccountBusy, and as `_append`."""
        # Runs of one account take turns; they would only make each other try again. Other processes
        # change it too, and often.
        try:
            async with self._turns.of(self._owner):
                last_us = clock.monotonic_us() + int(log_limits.LOCK_SECONDS_MAX * 1_000_000)
                while clock.monotonic_us() < last_us:
                    try:
                        await self._append(events, await patiently(others))
                    except VersionConflict:
                        continue
                    return
        except Unavailable:
            raise AccountBusy from None
        raise AccountBusy

    async def _append(
        self, events: list[Encoded], others: Sequence[StreamWrite] = (), *, strictly: bool = False
    ) -> None:
        """Append to the run, however long the database is away. Raises RunLost, or VersionConflict
        for one of the other streams; with `strictly`, Outpaced.
        """
        await self._store_large()
        may_be_written = False
        can_wait = not others and all(encoded.topic in QUIET for encoded in events)
        while True:
            ours = StreamWrite(stream=self._stream, expected=self._durable, events=events)
            try:
                await self._repository.append([ours, *others], self._origin, can_wait=can_wait)
            except VersionConflict as conflict:
                is_ours, known = conflict.stream == self._stream, self._durable
                if (is_ours or may_be_written) and await self._catch_up(events):
                    return
                if not is_ours:
                    raise
                if self._durable == known:
                    # Refused although nothing follows: the stream is shorter than we believed, and
                    # a snapshot would have us believe it again.
                    await patiently(lambda: self._repository.log.snapshots.forget(self._stream))
                    raise RunLost(self.run.run_id) from None
                if strictly:
                    raise Outpaced from None
            except Unavailable as error:
                # Whether it was written, the next try finds out: it wants the same versions.
                may_be_written = True
                log.warning("run.waits_for_database", run=self.run.run_id, error=str(error))
                await asyncio.sleep(database_limits.DATABASE_AGAIN_SECONDS)
            else:
                failpoints.reach("result.appended")
                self._durable += len(events)
                self._write_rates.wrote(self._owner, sum(map(_size, (ours, *others))))
                if self._progressed is not None:
                    self._progressed()
                return

    async def _catch_up(self, attempted: Sequence[Encoded]) -> bool:
        """Fold what came from outside. Whether `attempted` is in the stream: an append whose answer
        was lost may have been written, even long after.

        Raises RunLost for what is neither.
        """
        written = 0
        while tail := await patiently(self._next_page):
            for entry in tail:
                if isinstance(entry.event, FROM_OUTSIDE):
                    evolve(self.run, entry.event, entry.recorded_at)
                    self.outside += 1
                elif written < len(attempted) and entry.event == _decoded(attempted[written]):
                    written += 1
                else:
                    raise RunLost(self.run.run_id)
                self._durable = entry.version
        return written > 0

    async def _next_page(self) -> list[StreamEvent]:
        """What follows on what we know of the stream, empty when nothing does."""
        async for page in self._repository.log.stream_pages(self._stream, self._durable):
            return page
        return []

    async def _store_large(self) -> None:
        if self._large:
            values = list(self._large.values())
            await patiently(lambda: self._repository.log.values.put(self._owner, values))
            self._write_rates.wrote(self._owner, sum(map(len, values)))
            self._large.clear()

    async def _save_snapshot(self) -> None:
        """Keep the state of a long run now and then: who takes it up reads only the rest."""
        run = self.run
        if run.version - self._snapshot < log_limits.SNAPSHOT_EVENTS:
            return
        self._snapshot = run.version
        if await self._weigher.weighs_more(memory_limits.SNAPSHOT_WEIGHT_MAX):
            return
        state = snapshots.freeze(run)
        if len(state) > log_limits.SNAPSHOT_BYTES_MAX:
            return
        with suppress(*database.LOST):
            await self._repository.log.snapshots.save(
                self._stream, run.version, snapshots.FORMAT, state
            )


def _fit(*parts: Sequence[Encoded]) -> bool:
    """Whether these fit into one append."""
    count = sum(map(len, parts))
    size = sum(len(encoded.state) + PACKED_BYTES for part in parts for encoded in part)
    return count <= log_limits.APPEND_EVENTS_MAX and size <= log_limits.APPEND_BYTES_MAX


def _size(write: StreamWrite) -> int:
    """How many bytes a write takes in the log, about."""
    return write.size + ROW_BYTES * len(write.events)


def _decoded(encoded: Encoded) -> Event:
    return registry.decode(encoded.topic, encoded.state)
