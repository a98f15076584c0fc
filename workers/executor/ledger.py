"""A run's appends: its own events, and what must happen in the same moment elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from commands import credits as credit_commands
from domain import events as registry
from domain import large_values, limits, runs
from domain.credits import Account
from domain.engine import snapshots
from domain.engine.evolve import evolve
from domain.engine.run import Run
from domain.errors import Unavailable
from domain.events import Event
from domain.runs import FROM_OUTSIDE, NodeStarted, RunClaimed, RunRested
from runtime import clock, faults
from runtime.eventlog.errors import VersionConflict
from runtime.eventlog.log import Origin, StreamWrite
from runtime.eventlog.mapper import Encoded, to_encoded
from workers.executor.tools import Tools

Movement = Callable[[Account], Sequence[Event]]
Others = Callable[[], Awaitable[list[StreamWrite]]]
"""Makes the writes to other streams, anew for each try."""


class RunLost(Exception):
    """Another worker has claimed the run, or it has ended; nothing of ours can be appended."""


class Outpaced(Exception):
    """Something came from outside first, and has been folded."""


class Result(msgspec.Struct, frozen=True):
    """How a node went, as the log will hold it, and its large values as JSON by hash."""

    encoded: Encoded
    large: Mapping[str, bytes] = {}
    waiting: int | None = None
    """The number of the execution, when another attempt of it is to be made."""


class Ledger:
    """What happened to a run and is not durable yet.

    `record` folds an event at once and exactly as it will be read back: the stored bytes are what
    is folded, so the run in memory never differs from the one that a restart would see. What came
    from outside meanwhile is folded behind it: it routes nothing, so the order does not matter.
    """

    def __init__(self, run: Run, tools: Tools) -> None:
        assert run.created is not None
        self.run = run
        self._streams = tools.streams
        self._turns = tools.turns
        self._worker = tools.worker
        self._stream = runs.stream_of(run.run_id)
        self._owner = run.created.user_id
        self._origin = Origin(
            owner=self._owner, actor=f"worker:{tools.worker}", correlation=UUID(run.run_id)
        )
        self.outside = 0
        """How many events from outside have been folded."""
        self._durable = self._snapshot = run.version
        self._pending: list[Encoded] = []
        self._pending_bytes = 0
        self._large: dict[str, bytes] = {}

    @property
    def durable(self) -> int:
        """The version of the stream up to which we know it."""
        return self._durable

    @property
    def is_dirty(self) -> bool:
        return bool(self._pending)

    @property
    def is_full(self) -> bool:
        return (
            len(self._pending) >= limits.RUN_FLUSH_EVENTS
            or self._pending_bytes >= limits.RUN_FLUSH_BYTES
        )

    async def claim(self) -> None:
        """Take the run, durably: a death from here on counts. Raises RunLost and as `flush`."""
        claimed = RunClaimed(worker=self._worker)
        await self._append([to_encoded(claimed)])
        evolve(self.run, claimed, clock.now())

    def record(self, event: Event) -> None:
        self.record_result(Result(to_encoded(event)))

    def record_result(self, result: Result) -> None:
        encoded = result.encoded
        self._pending.append(encoded)
        self._pending_bytes += len(encoded.state)
        happened = registry.decode(encoded.topic, encoded.state)
        if result.large:
            self.keep(result.large)
            values: dict[str, Any] = {
                key: msgspec.json.decode(value) for key, value in result.large.items()
            }
            happened = large_values.put_back(happened, values)
        evolve(self.run, happened)

    def keep(self, large: Mapping[str, bytes]) -> None:
        """Have large values stored, at the latest before the next event is."""
        self._large.update(large)
        self._pending_bytes += sum(map(len, large.values()))

    async def flush(self, intents: Sequence[NodeStarted] = ()) -> bool:
        """Make everything recorded durable, and with the last of it the intents, folded then.

        False when the run shall pause or stop: then no intent was written, and no effect of them
        may begin. Raises RunLost, OutcomeUnknown or Unavailable.
        """
        while self._pending:
            chunk = self._next_chunk()
            if intents and len(chunk) == len(self._pending):
                break
            await self._append(chunk)
            self._forget(len(chunk))
        may_start = not intents or await self._intend(intents)
        await self._save_snapshot()
        return may_start

    async def flush_with(self, event: Event, others: Others) -> None:
        """Make everything recorded durable, and with the last of it `event` and other writes.

        Raises what `others` raises (then `event` did not happen), and as `flush`.
        """
        if self.is_full:
            await self.flush()
        await self._append_with([*self._pending, to_encoded(event)], others)
        self._forget(len(self._pending))
        evolve(self.run, event)

    async def rest(self, rested: RunRested) -> bool:
        """Make everything recorded durable and `rested` the last of it. Raises as `flush`.

        False when something came from outside first: the run may have something to do again.
        """
        if self.is_full:
            await self.flush()
        try:
            await self._append([*self._pending, to_encoded(rested)], strictly=True)
        except Outpaced:
            return False
        self._forget(len(self._pending))
        evolve(self.run, rested)
        return True

    async def refresh(self) -> None:
        """Fold what came from outside. Raises RunLost."""
        tail = await self._streams.log.read_stream(self._stream, after=self._durable)
        for entry in tail:
            if not isinstance(entry.event, FROM_OUTSIDE):
                raise RunLost(self.run.run_id)
            evolve(self.run, entry.event, entry.recorded_at)
            self._durable = entry.version
            self.outside += 1

    def moving(self, movement: Movement) -> Others:
        """A movement of the owner's credits, as writes to be made with an event."""

        async def writes() -> list[StreamWrite]:
            account = await credit_commands.load(self._streams, self._owner)
            return account.write(movement(account.state))

        return writes

    async def _intend(self, intents: Sequence[NodeStarted]) -> bool:
        while not (self.run.is_paused or self.run.is_stopping):
            events = [*self._pending, *map(to_encoded, intents)]
            try:
                await self._append(events, strictly=True)
            except Outpaced:
                continue
            self._forget(len(self._pending))
            for intent in intents:
                evolve(self.run, intent)
            return True
        await self.flush()
        return False

    def _next_chunk(self) -> list[Encoded]:
        size = 0
        for count, encoded in enumerate(self._pending):
            size += len(encoded.state)
            if count == limits.RUN_FLUSH_EVENTS or (count and size > limits.APPEND_BYTES_MAX):
                return self._pending[:count]
        return list(self._pending)

    def _forget(self, count: int) -> None:
        del self._pending[:count]
        self._pending_bytes = sum(len(encoded.state) for encoded in self._pending)

    async def _append_with(self, events: list[Encoded], others: Others) -> None:
        # Runs of one account take turns; they would only make each other try again. Other processes
        # change it too, and often: who gave up soon would have to begin its effects again.
        async with self._turns.of(self._owner):
            last_us = clock.monotonic_us() + int(limits.TURN_SECONDS_MAX * 1_000_000)
            while clock.monotonic_us() < last_us:
                try:
                    await self._append(events, await others())
                except VersionConflict:
                    continue
                return
        raise Unavailable("the account is too busy")

    async def _append(
        self, events: list[Encoded], others: Sequence[StreamWrite] = (), *, strictly: bool = False
    ) -> None:
        """Raises RunLost, VersionConflict for one of the other streams, or OutcomeUnknown."""
        if self._large:
            await self._streams.log.values.put(self._owner, list(self._large.values()))
            self._large.clear()
        for _ in range(limits.CONFLICT_RETRIES_MAX):
            ours = StreamWrite(stream=self._stream, expected=self._durable, events=events)
            try:
                await self._streams.log.append([ours, *others], self._origin)
            except VersionConflict as conflict:
                if conflict.stream != self._stream:
                    raise
                await self.refresh()
                if strictly:
                    raise Outpaced from None
                continue
            faults.reach("result.appended")
            self._durable += len(events)
            return
        raise Unavailable("the run is too busy")

    async def _save_snapshot(self) -> None:
        """Keep the state of a long run now and then: who takes it up reads only the rest."""
        run = self.run
        if run.version - self._snapshot < limits.SNAPSHOT_EVENTS:
            return
        self._snapshot = run.version
        state = snapshots.freeze(run)
        if len(state) <= limits.SNAPSHOT_BYTES_MAX:
            await self._streams.log.snapshots.save(
                self._stream, run.version, snapshots.FORMAT, state
            )
