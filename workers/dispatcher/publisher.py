"""Sends wake-ups: what the log says goes to the dispatcher, what that decides to executors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import cast

import structlog
from psycopg import AsyncConnection

from domain import events
from domain.events import Event
from domain.limits import worker_limits
from domain.runs import (
    ReviewDecided,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunParked,
    RunPaused,
    RunResumed,
    RunStopRequested,
    RunSuspended,
    RunTerminated,
    run_of,
)
from projections.projection import topics_of
from projections.runs.read_model import load_unfinished
from runtime import clock, nats
from runtime.broker import Broker
from runtime.database import Row
from runtime.eventlog import epoch, reader
from runtime.eventlog.reader import LogEvent
from runtime.nats import WakeUp
from runtime.settings import Settings
from workers import wake_ups
from workers.dispatcher.dispatcher import Dispatcher

log = structlog.get_logger()

Hear = Callable[[Dispatcher, LogEvent], None]

CREATED = events.topic_of(RunCreated)
"""As executors decode what a wake-up brings; older versions of the type stay in the log."""


class WakeUpPublisher:
    """One at a time may publish; another one begins where the read model of runs stands."""

    def __init__(
        self, connection: AsyncConnection[Row], broker: Broker, settings: Settings
    ) -> None:
        """The connection must be in autocommit mode."""
        self._connection = connection
        self._broker = broker
        self._dispatcher = Dispatcher(settings.runs_per_user, settings.runs_per_graph)
        self._created: dict[str, LogEvent] = {}
        """Runs to which nothing has happened yet, of the page that was heard last."""
        self._silent_until = 0
        self._epoch = ""
        """That of the log that is heard."""
        self.position = 0
        """Up to where the log has been heard."""

    async def open(self) -> None:
        """Load what is unfinished. Wake-ups that an earlier publisher sent are sent again."""
        self._epoch = await epoch.read(self._connection)
        self._silent_until = await reader.read_head(self._connection)
        self.position, unfinished = await load_unfinished(self._connection)
        for run in unfinished:
            self._dispatcher.load(run)

    def hear(self, page: Sequence[LogEvent]) -> None:
        """Take the next events of the log; those that have been heard say nothing.

        Nor do those that cannot be read, so that the other runs do not wait for theirs.
        """
        self._created.clear()
        for entry in page:
            hear = _HEARD.get(entry.topic)
            if hear is not None and entry.position > self.position:
                try:
                    hear(self._dispatcher, entry)
                except Exception:
                    log.exception(
                        "publisher.unreadable", position=entry.position, topic=entry.topic
                    )
                    continue
                if (
                    entry.topic == CREATED
                    and len(entry.state) <= worker_limits.WAKE_UP_STATE_BYTES_MAX
                ):
                    self._created[run_of(entry.stream)] = entry
        if page:
            self.position = max(self.position, page[-1].position)

    async def publish(self) -> None:
        """Wake up what is due, unless the log is still being caught up with. Raises database.LOST.

        Whoever has a run in hand also looks by itself, so nudges may get lost.
        """
        if self.position < self._silent_until:
            return
        now = clock.now().timestamp()
        await self._look_for_lost_wake_ups(now)
        due = [self._wake_up(run_id) for run_id in self._dispatcher.take_due(now)]
        await wake_ups.send(self._broker, self._connection, due)
        nudges = self._dispatcher.take_nudges()
        if self._broker.is_heard:
            with suppress(*nats.NatsError):
                for run_id in nudges:
                    await self._broker.publish(nats.NUDGE_SUBJECT, run_id.encode())

    def wake_ups_lost(self) -> None:
        """NATS may have forgotten what it had, or never heard it."""
        self._dispatcher.wake_ups_lost(clock.now().timestamp())

    @property
    def seconds_left(self) -> float:
        """How long there is nothing to wake up unless something happens."""
        timer = self._dispatcher.first_timer
        wake_up = self._dispatcher.first_wake_up
        moments = [timer] if timer is not None else []
        if wake_up is not None:
            moments.append(wake_up + worker_limits.DISPATCH_AGAIN_SECONDS)
        return (
            max(0.0, min(moments) - clock.now().timestamp())
            if moments
            else worker_limits.POLL_SECONDS
        )

    async def _look_for_lost_wake_ups(self, now: float) -> None:
        first = self._dispatcher.first_wake_up
        until = now - worker_limits.DISPATCH_AGAIN_SECONDS
        if first is None or first > until:
            return
        # While wake-ups wait for an executor, those that nobody has claimed are among them. Perhaps
        # executors do not hear NATS, but the database they do.
        if await self._are_waiting():
            await wake_ups.put(self._connection, self._dispatcher.wake_ups_waiting(until, now))
        else:
            self._dispatcher.wake_ups_lost(until)

    async def _are_waiting(self) -> bool:
        """Whether wake-ups wait: with NATS, or as far as we know, if that is not heard."""
        try:
            return await nats.waiting_wake_ups(self._broker.client) > 0
        except nats.NatsError:
            return True

    def _wake_up(self, run_id: str) -> WakeUp:
        entry = self._created.get(run_id)
        if entry is None:
            return WakeUp(run_id)
        return WakeUp(run_id, entry.state, entry.recorded_us, self._epoch)


def _created(dispatcher: Dispatcher, entry: LogEvent) -> None:
    created = cast("RunCreated", entry.decode())
    parent_id = created.parent.run_id if created.parent is not None else None
    dispatcher.created(run_of(entry.stream), created.user_id, created.graph_id, parent_id)


def _suspended(dispatcher: Dispatcher, entry: LogEvent) -> None:
    suspended = cast("RunSuspended", entry.decode())
    until = suspended.until.timestamp() if suspended.until is not None else None
    dispatcher.suspended(run_of(entry.stream), until, suspended.seen)


def _parked(dispatcher: Dispatcher, entry: LogEvent) -> None:
    parked = cast("RunParked", entry.decode())
    # Whatever has happened to its sub-graphs, nobody can take it before that moment.
    dispatcher.suspended(run_of(entry.stream), parked.until.timestamp(), entry.position)


def _ended(dispatcher: Dispatcher, entry: LogEvent) -> None:
    dispatcher.ended(run_of(entry.stream), entry.position)


def _told(tell: Callable[[Dispatcher, str], None]) -> Hear:
    return lambda dispatcher, entry: tell(dispatcher, run_of(entry.stream))


_HANDLERS: Mapping[type[Event], Hear] = {
    RunCreated: _created,
    RunClaimed: _told(Dispatcher.claimed),
    RunSuspended: _suspended,
    RunParked: _parked,
    RunCompleted: _ended,
    RunFailed: _ended,
    RunTerminated: _ended,
    RunStopRequested: _told(Dispatcher.stopping),
    ReviewDecided: _told(Dispatcher.called),
    RunPaused: _told(Dispatcher.paused),
    RunResumed: _told(Dispatcher.resumed),
}

_HEARD = {topic: hear for cls, hear in _HANDLERS.items() for topic in topics_of(cls)}
