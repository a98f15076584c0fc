"""The runs that one socket follows: how far each was told, and what must be read to go on.

Live events that continue what was told go straight to the send queue. Everything else - the history
of a run that was subscribed to, an event whose message must be looked up, a hole - is read from
the run's stream by one task, as fast as the peer takes it. So nobody is told an event of a run
twice or out of order, and a run of any length costs one page of memory.

Reading may be ahead of the live events, so what it has told is remembered for as long as they have
to catch up with it, also when the subscription has ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from api.live import messages
from api.live.event_translator import EventTranslator, Messages
from api.live.history import read_page
from api.live.send_queue import SendQueue
from domain.errors import Unavailable
from domain.limits import socket_limits, worker_limits
from runtime import database
from runtime.eventlog.log import EventLog

log = structlog.get_logger()


class Track:
    """One run, as told to one socket."""

    __slots__ = ("known", "reading", "run_id", "sent", "sent_at", "subscribed")

    def __init__(self, run_id: str, sent: int, sent_at: int = 0, *, subscribed: bool) -> None:
        self.run_id = run_id
        self.sent = sent
        """The last version that was told, or that the peer has from elsewhere."""
        self.sent_at = sent_at
        """The position of that, unless it came live."""
        self.known = sent
        """The last version that is known to exist."""
        self.subscribed = subscribed
        self.reading = False


class Subscriptions:
    """One a socket. Only the runs that it subscribed to, or must read on, have a track."""

    def __init__(
        self, event_log: EventLog, translator: EventTranslator, send_queue: SendQueue
    ) -> None:
        self._log = event_log
        self._translator = translator
        self._send_queue = send_queue
        self._tracks: dict[str, Track] = {}
        self._unread: deque[Track] = deque()
        self._woken = asyncio.Event()
        self._held: str | None = None
        """The run of which nothing is told now."""
        self._released = asyncio.Event()

    @property
    def run_ids(self) -> list[str]:
        return [track.run_id for track in self._tracks.values() if track.subscribed]

    @contextmanager
    def holding(self, run_id: str) -> Iterator[None]:
        """Tell nothing of the run in this block; what was held back is told behind it, unless the
        run is begun anew in the block.
        """
        self._held = run_id
        self._released.clear()
        try:
            yield
        finally:
            self._held = None
            self._released.set()
            track = self._tracks.get(run_id)
            if track is not None and track.known > track.sent and not track.reading:
                self._read(track)

    def begin(self, run_id: str, after: int, position: int) -> None:
        """Tell what comes after version `after` of the run, which has this position. A run already
        followed begins anew.
        """
        track = self._tracks[run_id] = Track(run_id, after, position, subscribed=True)
        self._read(track)

    def end(self, run_id: str, heard: int) -> None:
        """Tell the run no more, unless as one that nobody subscribed to. `heard` is the position
        that the live events have come to.
        """
        track = self._tracks.get(run_id)
        if track is None or not track.subscribed:
            return
        if track.sent_at > heard:
            self._tracks[run_id] = Track(run_id, track.sent, subscribed=False)
        else:
            del self._tracks[run_id]

    def hear(self, run_id: str, version: int, told: Messages | None) -> None:
        """Take a live event, and what it says; None when that must be looked up."""
        if self._send_queue.is_crowded:
            # It can be read when there is room again.
            told = None
        track = self._tracks.get(run_id)
        if track is None:
            if told is not None and run_id != self._held:
                self._put(told)
                return
            track = self._tracks[run_id] = Track(run_id, version - 1, subscribed=False)
        if version > track.sent:
            track.known = max(track.known, version)
            if track.reading or run_id == self._held:
                return
            if told is None or version > track.sent + 1:
                self._read(track)
                return
            track.sent = version
            self._put(told)
        if version == track.sent and not (track.subscribed or track.reading):
            # The live events have caught up with what was read.
            del self._tracks[run_id]

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
        if len(self._unread) > socket_limits.SOCKET_BACKLOG_MESSAGES_MAX:
            self._send_queue.give_up()

    async def _read_on(self, track: Track) -> None:
        if not self._is_current(track):
            return
        known = track.known
        try:
            more = await self._tell_page(track)
        except (Unavailable, *database.LOST) as error:
            log.warning("socket.reading_interrupted", run=track.run_id, error=repr(error))
            await asyncio.sleep(worker_limits.POLL_SECONDS)
            more = True
        except Exception:
            log.exception("socket.reading_failed", run=track.run_id)
            self._send_queue.put(messages.encode(messages.Failure(message="Internal server error")))
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
        """Tell the next page of the run, or as much of it as there is room for. The rest is read
        again, because nobody counts what a page takes while it waits.

        Returns whether there may be more.
        """
        await self._send_queue.room()
        limit = socket_limits.SOCKET_HISTORY_EVENTS
        if not track.subscribed:
            # Its track ends here, and what the feed has yet to tell must be left to the feed.
            limit = min(limit, track.known - track.sent)
        page = await read_page(self._log, track.run_id, track.sent, limit)
        for entry in page:
            if self._send_queue.is_crowded:
                return True
            told = await self._translator.look_up(entry, self._send_queue.share)
            while self._held == track.run_id:
                await self._released.wait()
            if not self._is_current(track):
                return False
            track.sent, track.sent_at = entry.version, entry.position
            self._put(told)
        return bool(page) and (track.subscribed or track.sent < track.known)

    def _is_current(self, track: Track) -> bool:
        """Whether nobody has ended the subscription, or begun it anew, meanwhile."""
        return self._tracks.get(track.run_id) is track

    def _put(self, told: Messages) -> None:
        for message in told:
            self._send_queue.put(message)
