"""From a run's events to the messages that clients see, encoded.

Most events are complete in themselves. Some are not: a claim does not say which graph it runs, a
rest whether a person is asked, and the end what came out; for these the run's stream is read. What
a node yielded does not say how large its large values are, which the log's store knows. A run that
is claimed again, after a suspension or a crash, is not a second start: it continues. An event
that means nothing to clients says nothing.
"""

from __future__ import annotations

from functools import partial

import msgspec

from api.feed import decoded
from api.live import messages
from domain import runs
from domain.events import Event
from domain.limits import log_limits, memory_limits, request_limits
from domain.runs import (
    NodeCompleted,
    NodeFailed,
    ReviewDecided,
    ReviewRequested,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunSuspended,
    run_of,
)
from projections.projection import Recorded, topics_of
from projections.runs import details
from projections.runs.views import Views
from runtime.backlog import Share
from runtime.cache import BoundedCache
from runtime.eventlog.reader import LogEvent

Messages = tuple[bytes, ...]
"""What one event says, already JSON: nothing or one message."""

EARLIEST_CLAIM = 2
"""A claim with this version is a run's first: only its creation comes before."""

LOOKED_UP = (RunClaimed, RunSuspended, RunCompleted)
"""What is not complete in itself."""

PAST_TOPICS = topics_of(RunClaimed, ReviewRequested, ReviewDecided)


PAST_BYTES, ASKING_BYTES = 500, 100
"""What a past takes in memory, and each of its executions that ask."""


class Past(msgspec.Struct, frozen=True):
    """A run up to a version: whether a worker has had it, and which executions ask a person."""

    version: int = 0
    is_claimed: bool = False
    asking: frozenset[int] = frozenset()

    def with_event(self, event: Event) -> Past:
        match event:
            case RunClaimed():
                return msgspec.structs.replace(self, is_claimed=True)
            case ReviewRequested(execution=number):
                return msgspec.structs.replace(self, asking=self.asking | {number})
            case ReviewDecided(execution=number):
                return msgspec.structs.replace(self, asking=self.asking - {number})
        return self


class EventTranslator:
    """One a process."""

    def __init__(self, views: Views) -> None:
        self._log = views.log
        self._views = views
        self._graphs: BoundedCache[str, str] = BoundedCache(log_limits.STATE_CACHE_STREAMS_MAX)
        """Graph ids by run id, so that a start is usually told without reading."""
        self._pasts: BoundedCache[str, Past] = BoundedCache(
            log_limits.STATE_CACHE_STREAMS_MAX, memory_limits.STATE_CACHE_BYTES_MAX
        )
        """By run id, so that of a run that is suspended often only what is new is read."""
        self._sizes: BoundedCache[tuple[str, str], int] = BoundedCache(
            log_limits.STATE_CACHE_STREAMS_MAX
        )
        """Of large values by owner and hash: many nodes may yield the same."""

    def translate(self, recorded: Recorded) -> Messages | None:
        """What the event says; None when that must be looked up first."""
        event = recorded.event
        run_id = run_of(recorded.stream)
        if isinstance(event, RunCreated):
            self._graphs.put(run_id, event.graph_id)
        if isinstance(event, RunClaimed) and recorded.version == EARLIEST_CLAIM:
            graph_id = self._graphs.get(run_id)
            return None if graph_id is None else _encoded(messages.started(recorded, graph_id))
        sizes = {key: self._sizes.get((recorded.owner, key)) for key in _yielded_large(event)}
        known = {key: size for key, size in sizes.items() if size is not None}
        if isinstance(event, LOOKED_UP) or len(known) < len(sizes):
            return None
        return _encoded(messages.of_event(recorded, known))

    async def look_up(self, entry: LogEvent, share: Share) -> Messages:
        """What the event says to one who has this share of all messages, after reading what that
        takes.

        Raises Unavailable, and what `database.LOST` names.
        """
        recorded = decoded(entry)
        if recorded is None:
            return ()
        told = self.translate(recorded)
        return await self._look_up(recorded, share) if told is None else told

    async def _look_up(self, recorded: Recorded, share: Share) -> Messages:
        run_id = run_of(recorded.stream)
        if hashes := _yielded_large(recorded.event):
            sizes = await self._log.values.sizes(recorded.owner, hashes)
            for key, size in sizes.items():
                self._sizes.put((recorded.owner, key), size)
            return _encoded(messages.of_event(recorded, sizes))
        if isinstance(recorded.event, RunClaimed):
            before = await self._past(run_id, recorded.version - 1)
            if before.is_claimed:
                return _encoded(messages.continued(recorded))
            created = await details.creation(self._log, run_id, recorded.owner)
            return _encoded(messages.started(recorded, created.graph_id))
        if isinstance(recorded.event, RunSuspended):
            past = await self._past(run_id, recorded.version)
            return _encoded(messages.in_review(recorded) if past.asking else None)
        show = partial(messages.completed, recorded)
        async with self._views.permit(share, request_limits.OUTPUTS_PAGE_BYTES) as permit:
            return _encoded(await details.look(self._views, permit, run_id, recorded.owner, show))

    async def _past(self, run_id: str, version: int) -> Past:
        """The run up to this version, which it has got to."""
        past = self._pasts.get(run_id) or Past()
        if past.version > version:
            past = Past()
        stream = runs.stream_of(run_id)
        entries, _ = await self._log.read_topics(stream, PAST_TOPICS, past.version)
        for entry in entries:
            if entry.version <= version:
                past = past.with_event(entry.event)
        past = msgspec.structs.replace(past, version=version)
        self._pasts.put(run_id, past, PAST_BYTES + ASKING_BYTES * len(past.asking))
        return past


def _yielded_large(event: Event) -> set[str]:
    return set(event.large.values()) if isinstance(event, NodeCompleted | NodeFailed) else set()


def _encoded(message: messages.Message | None) -> Messages:
    return () if message is None else (messages.encode(message),)
