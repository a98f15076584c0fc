"""A run's appends: its own events, and the credit movements that must happen with them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from uuid import UUID

from commands import credits as credit_commands
from commands.streams import Streams
from commands.turns import Turns
from domain import events as registry
from domain import limits, runs
from domain.credits import Account
from domain.engine.run import Run, evolve
from domain.errors import Unavailable
from domain.events import Event
from runtime import faults
from runtime.eventlog.errors import VersionConflict
from runtime.eventlog.log import Origin, StreamWrite
from runtime.eventlog.mapper import Encoded, to_encoded

Movement = Callable[[Account], Sequence[Event]]


class RunLost(Exception):
    """Another worker has claimed the run; nothing of ours can be appended any more."""


class Ledger:
    """What happened to a run and is not durable yet.

    `record` folds an event at once and exactly as it will be read back: the stored bytes are what
    is folded, so the run in memory never differs from the one that a restart would see.
    """

    def __init__(self, run: Run, streams: Streams, turns: Turns, worker: str) -> None:
        self.run = run
        self._streams = streams
        self._turns = turns
        assert run.created is not None
        self._origin = Origin(
            owner=run.created.user_id, actor=f"worker:{worker}", correlation=UUID(run.run_id)
        )
        self._durable = run.version
        self._pending: list[Encoded] = []
        self._pending_bytes = 0

    @property
    def is_dirty(self) -> bool:
        return bool(self._pending)

    @property
    def is_full(self) -> bool:
        return (
            len(self._pending) >= limits.RUN_FLUSH_EVENTS
            or self._pending_bytes >= limits.RUN_FLUSH_BYTES
        )

    def record(self, event: Event) -> None:
        self.record_encoded(to_encoded(event))

    def record_encoded(self, encoded: Encoded) -> None:
        self._pending.append(encoded)
        self._pending_bytes += len(encoded.state)
        evolve(self.run, registry.decode(encoded.topic, encoded.state))

    async def flush(self) -> None:
        """Make everything recorded durable. Raises RunLost or OutcomeUnknown."""
        while self._pending:
            chunk = self._next_chunk()
            await self._append(chunk, [])
            self._forget(len(chunk))

    async def flush_with(self, event: Event, movement: Movement) -> None:
        """Make everything recorded durable, and with the last of it `event` and a credit movement.

        Raises PaymentRequired from the movement (then `event` did not happen), RunLost,
        OutcomeUnknown or Unavailable.
        """
        if self.is_full:
            await self.flush()
        events = [*self._pending, to_encoded(event)]
        # Runs of one account take turns; they would only make each other try again.
        async with self._turns.of(self._origin.owner):
            await self._append_moving(events, movement)
        self._forget(len(self._pending))
        evolve(self.run, event)

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

    async def _append_moving(self, events: list[Encoded], movement: Movement) -> None:
        for _ in range(limits.CONFLICT_RETRIES_MAX):
            account = await credit_commands.load(self._streams, self._origin.owner)
            with contextlib.suppress(VersionConflict):
                await self._append(events, account.write(movement(account.state)))
                return
        raise Unavailable("the account is too busy")

    async def _append(self, events: list[Encoded], others: list[StreamWrite]) -> None:
        """Raises RunLost, VersionConflict for one of the other streams, or OutcomeUnknown."""
        stream = runs.stream_of(self.run.run_id)
        ours = StreamWrite(stream=stream, expected=self._durable, events=events)
        try:
            await self._streams.log.append([ours, *others], self._origin)
        except VersionConflict as conflict:
            if conflict.stream == stream:
                raise RunLost(self.run.run_id) from conflict
            raise
        faults.reach("result.appended")
        self._durable += len(events)
