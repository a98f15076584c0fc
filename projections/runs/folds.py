"""The fold of a view, event by event, which leaves checkpoints on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from domain import runs
from domain.engine import evolve, lookups, records
from domain.engine.views import Place, View
from domain.events import Event
from domain.limits import log_limits, request_limits
from projections.runs.permits import Permit
from projections.runs.values import put_back, read_values
from runtime import clock
from runtime.eventlog.checkpoints import Checkpoint, CheckpointPart
from runtime.eventlog.log import EventLog
from runtime.eventlog.reader import StreamEvent


class Fold:
    """Reads a run's stream on into a view."""

    def __init__(self, log: EventLog, permit: Permit, view: View, owner: str) -> None:
        self._log = log
        self._permit = permit
        self._view = view
        self._owner = owner
        self._base: int | None = None
        self._events = self._bytes = self._last = 0
        """Since the last checkpoint, and how large that is."""
        self._known: dict[str, Any] = {}
        """Large values of the last event with any that the engine had to look at."""

    def leave_checkpoints(self, base: int, size: int) -> None:
        """Leave checkpoints behind the one at version `base`, where the view begins."""
        self._base, self._last = base, size

    async def on(self, version: int) -> bool:
        """Fold up to this version; False when another reader's checkpoint is in the way."""
        run = self._view.run
        stream = runs.stream_of(run.run_id)
        async for page in self._log.stream_pages(stream, after=run.version, upto=version):
            if not await self._fold(page):
                return False
            if self._bytes > request_limits.RUN_LIGHT_BYTES:
                await self._permit.take()
            await asyncio.sleep(0)
        return True

    async def _fold(self, page: Sequence[StreamEvent]) -> bool:
        view, run = self._view, self._view.run
        for entry in page:
            happened = await self._with_values(entry.event)
            place = Place(run.run_id, entry.version, entry.bytes)
            view.begin(happened, entry.recorded_at, place, clock.monotonic)
            while run.routing is not None:
                await asyncio.sleep(0)
                evolve.route_on(run, clock.monotonic)
            view.finish()
            self._events += 1
            self._bytes += entry.bytes
            if self._is_due and not await self._cut():
                return False
        return True

    async def _with_values(self, happened: Event) -> Event:
        """With the large values that the engine has to look at."""
        seen = lookups.looked_at(self._view.run, happened)
        if not seen:
            return put_back(happened, {})
        await self._permit.take()
        values = await self._read(seen)
        self._view.note_loaded((value, key) for key, value in values.items())
        return put_back(happened, values)

    async def _read(self, hashes: AbstractSet[str]) -> dict[str, Any]:
        """These values. One that many events in a row name is read and decoded once for them."""
        values = {key: self._known[key] for key in hashes if key in self._known}
        values |= await read_values(self._log, self._owner, hashes - values.keys())
        self._known = values
        return values

    @property
    def _is_due(self) -> bool:
        is_much = (
            self._events >= log_limits.CHECKPOINT_EVENTS
            or self._bytes >= log_limits.CHECKPOINT_EVENT_BYTES
        )
        run = self._view.run
        return is_much and self._bytes >= self._last and self._base is not None and not run.is_ended

    async def _cut(self) -> bool:
        view, base = self._view, self._base
        assert base is not None
        cut = records.cut(view)
        parts = [CheckpointPart(part.kind, part.block, part.content) for part in cut.parts]
        is_kept = await self._log.checkpoints.save(
            runs.stream_of(view.run.run_id),
            records.FORMAT,
            base,
            Checkpoint(cut.version, cut.state),
            parts,
        )
        if is_kept:
            records.drop(view, cut)
            self._base, self._last = cut.version, len(cut.state)
            self._events = self._bytes = 0
        return is_kept
