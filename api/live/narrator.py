"""From a run's events to the messages that clients see, encoded.

Most events are complete in themselves. Two are not: a claim does not say which graph it runs, and
the end does not say what came out; for these the run's stream is read. A run that is claimed
again after a crash is not a second start: the nodes that are repeated show it by their attempt.
"""

from __future__ import annotations

from api.feed import decoded
from api.live import messages
from api.live.history import read_page
from commands.plans import Plans
from commands.streams import Streams
from domain import limits
from domain.runs import RunClaimed, RunCompleted, RunCreated, run_of
from projections import run_details
from projections.projection import Recorded
from runtime.cache import BoundedCache
from runtime.eventlog.reader import LogEvent

Messages = tuple[bytes, ...]
"""What one event says, already JSON: nothing or one message."""

FIRST_CLAIM = 2
"""The version of a run's first claim: what was created can only be claimed."""


class Narrator:
    """One a process."""

    def __init__(self, streams: Streams, plans: Plans) -> None:
        self._streams = streams
        self._plans = plans
        self._graphs: BoundedCache[str, str] = BoundedCache(limits.STATE_CACHE_STREAMS_MAX)
        """Graph ids by run id, so that a start is usually told without reading."""

    def tell(self, recorded: Recorded) -> Messages | None:
        """What the event says; None when that must be looked up first."""
        event = recorded.event
        run_id = run_of(recorded.stream)
        if isinstance(event, RunCreated):
            self._graphs.put(run_id, event.graph_id)
        if isinstance(event, RunClaimed):
            if recorded.version != FIRST_CLAIM:
                return ()
            graph_id = self._graphs.get(run_id)
            return None if graph_id is None else _encoded(messages.started(recorded, graph_id))
        if isinstance(event, RunCompleted):
            return None
        return _encoded(messages.of_event(recorded))

    async def look_up(self, entry: LogEvent) -> Messages:
        """What the event says, after reading what that takes.

        Raises what `database.LOST` names.
        """
        recorded = decoded(entry)
        if recorded is None:
            return ()
        told = self.tell(recorded)
        if told is not None:
            return told
        run_id = run_of(entry.stream)
        if isinstance(recorded.event, RunCompleted):
            run = await run_details.load(self._streams, self._plans, run_id, entry.owner)
            return _encoded(messages.completed(recorded, run))
        graph_id = await self._graph_of(run_id)
        return _encoded(messages.started(recorded, graph_id))

    async def _graph_of(self, run_id: str) -> str:
        first, *_ = await read_page(self._streams.log, run_id, after=0, limit=1)
        created = first.decode()
        assert isinstance(created, RunCreated)
        return created.graph_id


def _encoded(message: messages.Message | None) -> Messages:
    return () if message is None else (messages.encode(message),)
