"""How every aggregate is loaded, and how every command works: load, decide, append; when somebody
else was first, once more.

Folded states are cached by stream. A cached state may be behind; that costs a conflict and a
second try, never a wrong write, because each append names the versions that it was decided on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Generic, TypeVar, cast

import msgspec

from domain.aggregates import Aggregate
from domain.errors import DomainError, KeyReused, NotFound, Unavailable
from domain.events import Event
from domain.limits import log_limits, memory_limits
from domain.states import STATE_BYTES, State
from runtime import clock
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.keyed_lock import KeyedLock
from runtime.cache import BoundedCache
from runtime.eventlog.append import NOTHING_READ, Appended, Origin, Receipt
from runtime.eventlog.errors import PredecessorMissing, ReceiptExists, VersionConflict
from runtime.eventlog.log import EventLog, StreamWrite
from runtime.eventlog.reader import StreamEvent

S = TypeVar("S")
A = TypeVar("A", bound=msgspec.Struct)


class Outrun(Unavailable):
    """Somebody else was always first, which is nothing that the caller could mend."""

    def __init__(self) -> None:
        super().__init__("Too many changes at the same moment; please repeat the request.")


class Loaded(msgspec.Struct, Generic[S], frozen=True):
    """An aggregate's state, and the version of its stream that an append must expect."""

    stream: str
    state: S
    version: int
    evolve: Callable[[S, Event], S]

    def write(self, events: Sequence[Event]) -> list[StreamWrite]:
        """The events as a write after this version; none for no events."""
        if not events:
            return []
        return [StreamWrite.of(self.stream, self.version, events)]

    def after(self, events: Sequence[Event]) -> Loaded[S]:
        """What it becomes by these events."""
        state = self.state
        for event in events:
            state = self.evolve(state, event)
        return msgspec.structs.replace(self, state=state, version=self.version + len(events))


class Decision(msgspec.Struct, Generic[A], frozen=True):
    """What a command wants to append, and what it answers then.

    `after` is what a stream becomes by it to which hardly anybody else writes, so that the next
    command need not read it.
    """

    writes: list[StreamWrite]
    answer: A
    after: Loaded[Any] | None = None


class Done(msgspec.Struct, Generic[A], frozen=True):
    """A command's answer. `position` is where its last event stands, None if it wrote nothing."""

    answer: A
    position: int | None


class _Cached(msgspec.Struct, frozen=True):
    """A folded state. `is_quiet`: when it was looked at last, nothing had been written since."""

    state: Any
    version: int
    is_quiet: bool


class _Trust:
    """Cached states that a decision took for the present ones; `versions` by stream.

    The append proves it, under the log's lock, which costs less than to read each stream before.
    What is not appended is not proven.
    """

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}

    def reads(self, writes: Sequence[StreamWrite]) -> Mapping[str, int]:
        """What an append of these writes must prove beside the versions that they expect."""
        written = {write.stream for write in writes}
        return {s: version for s, version in self.versions.items() if s not in written}


class _Unproven(Exception):
    """Nothing is to be appended, and that may be wrong: it was decided on cached states."""


_TRUST: ContextVar[_Trust | None] = ContextVar("trust", default=None)


class Repository:
    """The aggregates of this process, folded and cached."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._turns = KeyedLock()
        self._cache: BoundedCache[str, _Cached] = BoundedCache(
            log_limits.STATE_CACHE_STREAMS_MAX, memory_limits.STATE_CACHE_BYTES_MAX
        )

    async def load(self, aggregate: Aggregate[S], key: str) -> Loaded[S]:
        """The aggregate's state as of now: the cached one plus what was written since.

        While a command decides for the first time, the cached one alone may do: see `_Trust`.
        """
        stream, evolve = aggregate.stream_of(key), aggregate.evolve
        cached = self._cache.get(stream)
        trust = _TRUST.get()
        if cached is not None and cached.is_quiet and trust is not None:
            trust.versions[stream] = cached.version
            return Loaded(stream, cached.state, cached.version, evolve)
        state, version = aggregate.initial, 0
        if cached is not None:
            state, version = cached.state, cached.version
        async for page in self.log.stream_pages(stream, after=version):
            state, version = _folded(state, version, page, stream, evolve)
            # Who waits for the next page has nothing of this one in hand.
            page.clear()
        loaded = Loaded(stream, state, version, evolve)
        if version:
            self._keep(loaded, is_quiet=cached is not None and version == cached.version)
        return loaded

    async def load_owned(self, aggregate: Aggregate[S | None], key: str, owner: str) -> Loaded[S]:
        """One that is this user's. Raises NotFound for another's as for none, and as soon: nothing
        of a stranger's is read or kept, which may be much.
        """
        stream = aggregate.stream_of(key)
        cached = self._cache.get(stream)
        is_known = cached is not None and _is_owned(aggregate, cached.state, owner)
        if not is_known and await self.log.owner_of(stream) != owner:
            raise _not_found(aggregate, key)
        loaded = await self.load(aggregate, key)
        if not _is_owned(aggregate, loaded.state, owner):
            raise _not_found(aggregate, key)
        return cast("Loaded[S]", loaded)

    def _keep(self, loaded: Loaded[Any], *, is_quiet: bool) -> None:
        state = loaded.state
        weight = state.weight if isinstance(state, State) else STATE_BYTES
        self._cache.put(loaded.stream, _Cached(state, loaded.version, is_quiet), weight)

    async def append(
        self,
        writes: Sequence[StreamWrite],
        origin: Origin,
        receipt: Receipt | None = None,
        reads: Mapping[str, int] = NOTHING_READ,
        *,
        can_wait: bool = False,
    ) -> Appended:
        """Append to the log; raises as EventLog.append does.

        A stream that proves to be shorter than its cached state, as after a backup was restored,
        is read anew the next time; otherwise no append to it would ever succeed here.
        """
        try:
            return await self.log.append(writes, origin, receipt, reads, can_wait=can_wait)
        except PredecessorMissing as missing:
            self._cache.drop(missing.stream)
            raise

    async def execute(
        self,
        context: CommandContext,
        decide: Callable[[], Awaitable[Decision[A]]],
        answer_type: type[A],
    ) -> Done[A]:
        """Run a command to its end; under an idempotency key, at most once.

        Whoever loses a race queues up after the other losers of the same owner, and so does who
        comes while they wait; otherwise most of a crowd would lose again and again. Workers append
        to the same streams, but none wins every race for CONFLICT_SECONDS_MAX.

        Raises what `decide` raises, KeyReused, Outrun when it lost for so long, Unavailable and
        OutcomeUnknown. `decide` must not execute other commands.
        """
        if not self._turns.is_awaited(context.owner):
            with suppress(VersionConflict, ReceiptExists):
                try:
                    return await self._attempt(context, decide, answer_type, _Trust())
                except _Unproven:
                    return await self._attempt(context, decide, answer_type)
        async with self._turns.of(context.owner):
            last = clock.monotonic() + log_limits.CONFLICT_SECONDS_MAX
            while True:
                with suppress(VersionConflict, ReceiptExists):
                    return await self._attempt(context, decide, answer_type)
                if clock.monotonic() > last:
                    raise Outrun

    async def _attempt(
        self,
        context: CommandContext,
        decide: Callable[[], Awaitable[Decision[A]]],
        answer_type: type[A],
        trust: _Trust | None = None,
    ) -> Done[A]:
        answered = await self._answered(context, answer_type)
        if answered is not None:
            return answered
        decision = await _decided(decide, trust)
        if not decision.writes:
            return Done(answer=decision.answer, position=None)
        receipt = _receipt(context, decision.answer)
        reads = trust.reads(decision.writes) if trust is not None else NOTHING_READ
        appended = await self.append(decision.writes, context.origin, receipt, reads)
        if decision.after is not None:
            self._keep(decision.after, is_quiet=True)
        return Done(answer=decision.answer, position=appended.last)

    async def _answered(self, context: CommandContext, answer_type: type[A]) -> Done[A] | None:
        if context.idempotency is None:
            return None
        found = await self.log.read_receipt(context.owner, context.idempotency.key)
        if found is None:
            return None
        if found.request_hash != context.idempotency.request_hash:
            raise KeyReused("This Idempotency-Key was used for another request.")
        answer = msgspec.json.decode(found.answer, type=answer_type)
        return Done(answer=answer, position=found.position)


def new(aggregate: Aggregate[S], key: str) -> Loaded[S]:
    """An aggregate of which nothing has happened yet, under a key that nobody has."""
    return Loaded(aggregate.stream_of(key), aggregate.initial, 0, aggregate.evolve)


def _is_owned(aggregate: Aggregate[S | None], state: S | None, owner: str) -> bool:
    assert aggregate.owner is not None, f"a {aggregate.name} has no owner"
    return state is not None and aggregate.owner(state) == owner


def _not_found(aggregate: Aggregate[Any], key: str) -> NotFound:
    return NotFound(f"{aggregate.noun} {key} not found")


def _folded(
    state: S,
    version: int,
    page: Sequence[StreamEvent],
    stream: str,
    evolve: Callable[[S, Event], S],
) -> tuple[S, int]:
    for recorded in page:
        assert recorded.version == version + 1, f"{stream} has a gap after {version}"
        state = evolve(state, recorded.event)
        version = recorded.version
    return state, version


async def _decided(
    decide: Callable[[], Awaitable[Decision[A]]], trust: _Trust | None
) -> Decision[A]:
    """Raises what `decide` raises, and _Unproven."""
    token = _TRUST.set(trust)
    try:
        decision = await decide()
    except DomainError:
        if trust is not None and trust.versions:
            raise _Unproven from None
        raise
    finally:
        _TRUST.reset(token)
    if not decision.writes and trust is not None and trust.versions:
        raise _Unproven
    return decision


def _receipt(context: CommandContext, answer: msgspec.Struct) -> Receipt | None:
    if context.idempotency is None:
        return None
    return Receipt(
        owner=context.owner,
        key=context.idempotency.key,
        request_hash=context.idempotency.request_hash,
        answer=msgspec.json.encode(answer),
    )
