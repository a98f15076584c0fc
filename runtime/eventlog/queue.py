"""The appends that wait for the writer, and how they are gathered into batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable, Mapping

from domain.errors import Unavailable
from domain.limits import log_limits
from runtime import clock
from runtime.eventlog.append import Append, Appended
from runtime.eventlog.errors import OutcomeUnknown, ReadOutdated, VersionConflict

REFUSED = "The event log cannot be written now; nothing was written."


class Pending:
    """An append that waits for its outcome."""

    __slots__ = ("append", "deadline", "outcome", "unanswered")

    def __init__(self, append: Append, outcome: asyncio.Future[Appended]) -> None:
        self.append = append
        self.outcome = outcome
        self.deadline = clock.monotonic() + log_limits.APPEND_SECONDS_MAX
        self.unanswered = 0
        """How often it was sent without an answer; once is enough for it to have been written."""

    @property
    def is_open(self) -> bool:
        """Nobody has told the caller yet, and the caller still wants to know."""
        return not self.outcome.done()

    def succeed(self, first: int) -> None:
        """The append has the positions from `first` on."""
        if not self.outcome.done():
            self.outcome.set_result(Appended(first, first + self.append.count - 1))

    def fail(self, error: Exception) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def refuse(self, reason: Unavailable | None = None) -> None:
        """Give it up for this reason, unless it may have been written all the same."""
        if self.is_open:
            self.fail(OutcomeUnknown() if self.unanswered else reason or Unavailable(REFUSED))


class AppendQueue:
    """First come, first served, except that a batch holds each claim once, and no stream that one
    of its appends writes and another has read.
    """

    def __init__(self) -> None:
        self._waiting: deque[Pending] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, append: Append) -> asyncio.Future[Appended]:
        """Join the queue; the future tells the outcome. Raises Unavailable when it stays full."""
        if len(self._waiting) >= log_limits.APPEND_QUEUE_MAX:
            await self._wait_for_room()
        return self.join(append)

    def join(self, append: Append) -> asyncio.Future[Appended]:
        """Join the queue although it may be full."""
        outcome: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._waiting.append(Pending(append, outcome))
        self._arrived.set()
        return outcome

    async def take_batch(self, written: Mapping[str, int]) -> list[Pending]:
        """Wait for appends and take as many as one statement should hold.

        `written` says up to which versions streams have just been written: appends that are
        thereby too late are told at once, so that they do not make their whole batch fail.
        """
        batch: list[Pending] = []
        while not batch:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            batch = self._gather(written)
            self._room.set()
        return batch

    def expire(self, taken: Iterable[Pending]) -> None:
        """Refuse whoever has waited too long, here or in the batch that was `taken`."""
        now = clock.monotonic()
        for pending in (*taken, *self._waiting):
            if pending.deadline < now:
                pending.refuse()
        if len(self._waiting) >= log_limits.APPEND_QUEUE_MAX:
            self._waiting = deque(pending for pending in self._waiting if pending.is_open)
            self._room.set()

    def abandon(self, taken: Iterable[Pending]) -> None:
        """Refuse all: nobody will write any more."""
        for pending in (*taken, *self._waiting):
            pending.refuse()
        self._waiting.clear()

    def _gather(self, written: Mapping[str, int]) -> list[Pending]:
        batch: list[Pending] = []
        left: list[Pending] = []
        claimed: set[Hashable] = set()
        read: set[str] = set()
        events = size = 0
        most = log_limits.APPEND_BATCH_APPENDS_MAX
        while self._waiting and len(batch) < most and len(left) < most:
            pending = self._waiting.popleft()
            append = pending.append
            if not pending.is_open or _is_too_late(pending, written):
                continue
            if _meets(append, claimed, read):
                claimed.update(append.claims)
                read.update(append.reads)
                left.append(pending)
                continue
            events += append.count
            size += append.size
            if batch and (
                events > log_limits.APPEND_BATCH_EVENTS_MAX or size > log_limits.APPEND_BYTES_MAX
            ):
                left.append(pending)
                break
            claimed.update(append.claims)
            read.update(append.reads)
            batch.append(pending)
        self._waiting.extendleft(reversed(left))
        return batch

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(log_limits.APPEND_SECONDS_MAX):
                while len(self._waiting) >= log_limits.APPEND_QUEUE_MAX:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            raise Unavailable(REFUSED) from None


def _meets(append: Append, claimed: set[Hashable], read: set[str]) -> bool:
    """Whether it wants what another claims, or one of the two writes what the other has read."""
    return not (
        claimed.isdisjoint(append.claims)
        and claimed.isdisjoint(append.reads)
        and read.isdisjoint(append.heads)
    )


def _is_too_late(pending: Pending, written: Mapping[str, int]) -> bool:
    for stream, version in pending.append.heads.items():
        if written.get(stream, version - 1) >= version:
            pending.fail(VersionConflict(stream, version))
            return True
    for stream, version in pending.append.reads.items():
        if written.get(stream, version) > version:
            pending.fail(ReadOutdated(stream, version))
            return True
    return False
