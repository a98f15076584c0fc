"""The runs that one socket follows: how far each was told, and what must be read to go on.

Live events that continue what was told go straight to the outbox. Everything else - the history
of a run that was subscribed to, an event whose message must be looked up, a hole - is read from
the run's stream by one task, as fast as the peer takes it. So nobody is told an event of a run
twice or out of order, and a run of any length costs one page of memory.
"""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from api.live import messages
from api.live.history import read_page
from api.live.narrator import Messages, Narrator
from api.live.outbox import Outbox
from domain import limits
from runtime import database
from runtime.eventlog.log import EventLog

log = structlog.get_logger()


class Track:
    """One run, as told to one socket."""

    __slots__ = ("known", "reading", "run_id", "sent", "subscribed")

    def __init__(self, run_id: str, sent: int, *, subscribed: bool) -> None:
        self.run_id = run_id
        self.sent = sent
        """The last version that was told."""
        self.known = sent
        """The last version that is known to exist."""
        self.subscribed = subscribed
        self.reading = False


class Following:
    """One a socket. Only the runs that it subscribed to, or must read on, have a track."""

    def __init__(self, event_log: EventLog, narrator: Narrator, outbox: Outbox) -> None:
        self._log = event_log
        self._narrator = narrator
        self._outbox = outbox
        self._tracks: dict[str, Track] = {}
        self._unread: deque[Track] = deque()
        self._woken = asyncio.Event()

    @property
    def subscriptions(self) -> list[str]:
        return [track.run_id for track in self._tracks.values() if track.subscribed]

    def begin(self, run_id: str, after: int) -> None:
        """Tell the run from behind version `after`. A run already followed begins anew."""
        track = self._tracks[run_id] = Track(run_id, after, subscribed=True)
        self._read(track)

    def end(self, run_id: str) -> None:
        """Tell the run no more, unless as one that nobody subscribed to."""
        self._tracks.pop(run_id, None)

    def hear(self, run_id: str, version: int, told: Messages | None) -> None:
        """Take a live event, and what it says; None when that must be looked up."""
        if self._outbox.is_crowded:
            # It can be read when there is room again.
            told = None
        track = self._tracks.get(run_id)
        if track is None:
            if told is not None:
                self._put(told)
                return
            track = self._tracks[run_id] = Track(run_id, version - 1, subscribed=False)
        if version <= track.sent:
            return
        track.known = max(track.known, version)
        if track.reading:
            return
        if told is None or version > track.sent + 1:
            self._read(track)
            return
        track.sent = version
        self._put(told)

    async def run(self) -> None:
        """Read on whatever is behind, a page of each run in turn. Runs until cancelled."""
        while True:
            while self._unread:
                await self._read_on(self._unread.popleft())
            self._woken.clear()
            await self._woken.wait()

    def _read(self, track: Track) -> None:
        track.reading = True
        self._unread.append(track)
        self._woken.set()
        if len(self._unread) > limits.SOCKET_BACKLOG_MESSAGES_MAX:
            self._outbox.give_up()

    async def _read_on(self, track: Track) -> None:
        if not self._is_current(track):
            return
        known = track.known
        try:
            more = await self._tell_page(track)
        except database.LOST as error:
            log.warning("socket.reading_interrupted", run=track.run_id, error=repr(error))
            await asyncio.sleep(limits.POLL_SECONDS)
            more = True
        except Exception:
            log.exception("socket.reading_failed", run=track.run_id)
            self._outbox.put(messages.encode(messages.Failure(message="Internal server error")))
            more = False
        if not self._is_current(track):
            return
        if more or track.known > max(known, track.sent):
            self._read(track)
            return
        track.reading = False
        if not track.subscribed:
            del self._tracks[track.run_id]

    async def _tell_page(self, track: Track) -> bool:
        """Tell the next page of the run. Returns whether there may be another."""
        limit = limits.SOCKET_HISTORY_EVENTS
        if not track.subscribed:
            # Its track ends here, and what the feed has yet to tell must be left to the feed.
            limit = min(limit, track.known - track.sent)
        page = await read_page(self._log, track.run_id, track.sent, limit)
        for entry in page:
            told = await self._narrator.look_up(entry)
            await self._outbox.room()
            if not self._is_current(track):
                return False
            track.sent = entry.version
            self._put(told)
        return bool(page) and (track.subscribed or track.sent < track.known)

    def _is_current(self, track: Track) -> bool:
        """Whether nobody has ended the subscription, or begun it anew, meanwhile."""
        return self._tracks.get(track.run_id) is track

    def _put(self, told: Messages) -> None:
        for message in told:
            self._outbox.put(message)
