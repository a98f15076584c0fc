"""How every command works: load, decide, append; when somebody else was first, once more.

Folded states are cached by stream. A cached state may be behind; that costs a conflict and a
second try, never a wrong write, because each append names the versions that it was decided on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec

from commands.context import Context
from commands.turns import Turns
from domain import limits
from domain.errors import KeyReused, Unavailable
from domain.events import Event
from runtime import clock
from runtime.cache import BoundedCache
from runtime.eventlog.append import Appended, Origin, Receipt
from runtime.eventlog.errors import PredecessorMissing, ReceiptExists, VersionConflict
from runtime.eventlog.log import EventLog, StreamWrite

S = TypeVar("S")
A = TypeVar("A", bound=msgspec.Struct)

Evolve = Callable[[S, Event], S]


class Outrun(Unavailable):
    """Somebody else was always first, which is nothing that the caller could mend."""

    def __init__(self) -> None:
        super().__init__("Too many changes at the same moment; please repeat the request.")


class Loaded(msgspec.Struct, Generic[S], frozen=True):
    """A stream's state, and the version that an append to it must expect."""

    stream: str
    state: S
    version: int

    def write(self, events: Sequence[Event]) -> list[StreamWrite]:
        """The events as a write behind this version; none for no events."""
        if not events:
            return []
        return [StreamWrite.of(self.stream, self.version, events)]


class Decision(msgspec.Struct, Generic[A], frozen=True):
    """What a command wants to append, and what it answers then."""

    writes: list[StreamWrite]
    answer: A


class Done(msgspec.Struct, Generic[A], frozen=True):
    """A command's answer. `position` is where its last event stands, None if it wrote nothing."""

    answer: A
    position: int | None


class Streams:
    """The streams of this process's commands, folded and cached."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._turns = Turns()
        self._cache: BoundedCache[str, tuple[Any, int]] = BoundedCache(
            limits.STATE_CACHE_STREAMS_MAX
        )

    async def load(self, stream: str, initial: S, evolve: Evolve[S]) -> Loaded[S]:
        """The stream's state as of now: the cached one plus what was written since."""
        state, version = self._cache.get(stream) or (initial, 0)
        async for page in self.log.stream_pages(stream, after=version):
            for recorded in page:
                assert recorded.version == version + 1, f"{stream} has a gap behind {version}"
                state = evolve(state, recorded.event)
                version = recorded.version
        if version:
            self._cache.put(stream, (state, version))
        return Loaded(stream=stream, state=state, version=version)

    async def append(
        self, writes: Sequence[StreamWrite], origin: Origin, receipt: Receipt | None = None
    ) -> Appended:
        """Append to the log; raises as EventLog.append does.

        A stream that proves to be shorter than its cached state, as after a backup was restored,
        is read anew the next time; otherwise no append to it would ever succeed here.
        """
        try:
            return await self.log.append(writes, origin, receipt)
        except PredecessorMissing as missing:
            self._cache.drop(missing.stream)
            raise

    async def execute(
        self,
        context: Context,
        decide: Callable[[], Awaitable[Decision[A]]],
        answer_type: type[A],
    ) -> Done[A]:
        """Run a command to its end; under an idempotency key, at most once.

        Whoever loses a race queues up behind the other losers of the same owner, and so does who
        comes while they wait; otherwise most of a crowd would lose again and again. Workers append
        to the same streams, but none wins every race for CONFLICT_SECONDS_MAX.

        Raises what `decide` raises, KeyReused, Outrun when it lost for so long, Unavailable and
        OutcomeUnknown. `decide` must not execute other commands.
        """
        if not self._turns.is_awaited(context.owner):
            with suppress(VersionConflict, ReceiptExists):
                return await self._attempt(context, decide, answer_type)
        async with self._turns.of(context.owner):
            last = clock.monotonic() + limits.CONFLICT_SECONDS_MAX
            while True:
                with suppress(VersionConflict, ReceiptExists):
                    return await self._attempt(context, decide, answer_type)
                if clock.monotonic() > last:
                    raise Outrun

    async def _attempt(
        self,
        context: Context,
        decide: Callable[[], Awaitable[Decision[A]]],
        answer_type: type[A],
    ) -> Done[A]:
        answered = await self._answered(context, answer_type)
        if answered is not None:
            return answered
        decision = await decide()
        if not decision.writes:
            return Done(answer=decision.answer, position=None)
        receipt = _receipt(context, decision.answer)
        appended = await self.append(decision.writes, context.origin, receipt)
        return Done(answer=decision.answer, position=appended.last)

    async def _answered(self, context: Context, answer_type: type[A]) -> Done[A] | None:
        if context.idempotency is None:
            return None
        found = await self.log.read_receipt(context.owner, context.idempotency.key)
        if found is None:
            return None
        if found.request_hash != context.idempotency.request_hash:
            raise KeyReused("This Idempotency-Key was used for another request.")
        answer = msgspec.json.decode(found.answer, type=answer_type)
        return Done(answer=answer, position=found.position)


def _receipt(context: Context, answer: msgspec.Struct) -> Receipt | None:
    if context.idempotency is None:
        return None
    return Receipt(
        owner=context.owner,
        key=context.idempotency.key,
        request_hash=context.idempotency.request_hash,
        answer=msgspec.json.encode(answer),
    )
