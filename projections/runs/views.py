"""Runs for those who look at them, folded from the last checkpoint before the moment asked for.

Whoever reads on after the last checkpoint of a long run leaves others on the way. So only the
first look at it, and at what has happened since the last look, takes as long as there are events;
runs that nobody looks at cost nothing.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from weakref import WeakValueDictionary

import msgspec
import structlog

from domain import runs
from domain.engine import records
from domain.engine.execution import Execution
from domain.engine.run import Run
from domain.engine.views import Place, Segment, View
from domain.limits import log_limits, request_limits
from domain.runs import Fork, NodeFailed, RunCreated
from projections.runs.folds import Fold
from projections.runs.permits import Permit
from projections.runs.values import (
    first_event,
    large_in,
    put_back,
    read_back,
    read_values,
    results_at,
)
from runtime.aggregates.run_repository import RunRepository
from runtime.backlog import Share
from runtime.eventlog.checkpoints import Checkpoint
from runtime.fair_queue import FairQueue

log = structlog.get_logger()

TAKEN_BACK_AT_ONCE = 256
"""Executions that a fork takes up again whose results are read at once."""


class CheckpointsGone(Exception):
    """Records that a view needs are not there any more: it has to be made anew."""


class Found(msgspec.Struct):
    """A finished execution from a record, and where the log says how it went."""

    execution: Execution
    result: Place


class Views:
    """One a process: what its readers share."""

    def __init__(self, run_repository: RunRepository) -> None:
        self.log = run_repository.log
        self._plans = run_repository.plans
        self._crowd = FairQueue(
            request_limits.RUNS_LOOKED_AT_ONCE, request_limits.RUNS_LOOKED_AT_PER_USER
        )
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def permit(self, share: Share, size: int) -> AsyncIterator[Permit]:
        """For a user whose share has room for `size`, until what was made has been encoded."""
        permit = Permit(self._crowd, share, size)
        try:
            yield permit
        finally:
            permit.give_back()

    @asynccontextmanager
    async def taken_permit(self, share: Share) -> AsyncIterator[None]:
        """One that is needed at once, and of which nothing becomes that is sent."""
        async with self.permit(share, 0) as permit:
            await permit.take()
            yield

    async def load(self, permit: Permit, run_id: str, created: RunCreated, version: int) -> View:
        """The run at a version that it has got to. Raises NotFound without its graph, and
        CheckpointsGone.
        """
        if version <= log_limits.STREAM_PAGE_EVENTS:
            view = await self._begun(permit, run_id, created)
            await Fold(self.log, permit, view, created.user_id).on(version)
            return view
        # Who has a turn waits for no lock, because who has a lock waits for a turn.
        permit.give_back()
        lock = self._locks.get(run_id)
        if lock is None:
            lock = self._locks[run_id] = asyncio.Lock()
        async with lock:
            return await self._long(permit, run_id, created, version)

    async def finished(self, view: View, numbers: range) -> dict[int, Found]:
        """Those of the executions that have left the view, as far as their records are there."""
        found: dict[int, Found] = {}
        for part in await self._parts(view, records.EXECUTIONS, numbers):
            for execution, result in records.read_executions(view.run, part):
                if execution.number in numbers:
                    found[execution.number] = Found(execution, result)
        return found

    async def outputs(self, view: View, ordinals: range) -> dict[int, records.PlacedOutput]:
        """The same of the run's outputs, by their places."""
        parts = await self._parts(view, records.OUTPUTS, ordinals)
        placed = (output for part in parts for output in records.read_outputs(part))
        return {output.ordinal: output for output in placed if output.ordinal in ordinals}

    async def forget(self, view: View) -> None:
        """Have the run, and those that it was forked from, folded from their first events again."""
        for run_id in {view.run.run_id, *(segment.run_id for segment in view.segments)}:
            await self.log.checkpoints.forget(runs.stream_of(run_id), records.FORMAT)

    async def _parts(self, view: View, kind: str, places: range) -> list[bytes]:
        """Oldest first: a fork has records of its own of what it took up again."""
        blocks = range(places.start // records.BLOCK, (places.stop - 1) // records.BLOCK + 1)
        parts: list[bytes] = []
        for segment in view.segments:
            stream = runs.stream_of(segment.run_id)
            parts += await self.log.checkpoints.parts(
                stream, records.FORMAT, kind, blocks, segment.version
            )
        return parts

    async def _long(self, permit: Permit, run_id: str, created: RunCreated, version: int) -> View:
        refused: int | None = None
        while True:
            view, base, size = await self._nearest(permit, run_id, created, version)
            fold = Fold(self.log, permit, view, created.user_id)
            if base != refused:
                fold.leave_checkpoints(base, size)
            if await fold.on(version):
                return view
            # Another process was first: what it has left may be a better beginning.
            refused = base

    async def _nearest(
        self, permit: Permit, run_id: str, created: RunCreated, version: int
    ) -> tuple[View, int, int]:
        """A view to begin with, the version of its checkpoint, and how large that is."""
        stream = runs.stream_of(run_id)
        found = await self.log.checkpoints.find(stream, records.FORMAT, version)
        view = None if found is None else await self._restored(run_id, created, found)
        if found is None or view is None:
            return await self._begun(permit, run_id, created), 0, 0
        return view, found.version, len(found.state)

    async def _restored(self, run_id: str, created: RunCreated, found: Checkpoint) -> View | None:
        try:
            state = records.read_state(found.state)
        except (msgspec.DecodeError, zlib.error):
            log.warning("checkpoint.unreadable", run=run_id, version=found.version)
            await self.log.checkpoints.forget(runs.stream_of(run_id), records.FORMAT)
            return None
        plan = await self._plans.load(created.graph_id, created.graph_version)
        view = records.restore(run_id, plan, state)
        view.segments.append(Segment(run_id, found.version))
        waiting = list(view.waits_for_values())
        hashes = [mapping[pin].hash for mapping, pin in waiting]
        await read_back(self.log, created.user_id, waiting)
        values = (mapping[pin] for mapping, pin in waiting)
        view.note_loaded(zip(values, hashes, strict=True))
        return view

    async def _begun(self, permit: Permit, run_id: str, created: RunCreated) -> View:
        """Before the run's first event: empty, or what its fork takes over."""
        fork = created.fork
        if fork is None:
            plan = await self._plans.load(created.graph_id, created.graph_version)
            return View(Run(run_id, plan))
        source = await first_event(self.log, fork.run_id)
        assert source is not None, "a fork's source does not go away"
        view = await self.load(permit, fork.run_id, source, fork.version)
        await self._take_back(view, fork, created.user_id)
        view.run.run_id = run_id
        view.run.version = 0
        return view

    async def _take_back(self, view: View, fork: Fork, owner: str) -> None:
        """Bring what the fork takes up again into the view, with all of its values."""
        executions = view.run.executions
        numbers = iter(fork.retried)
        while batch := list(islice(numbers, TAKEN_BACK_AT_ONCE)):
            await self._take_back_some(view, batch, owner)
        view.run.executions = dict(sorted(executions.items()))
        retried = set(fork.retried)
        for queue in view.run.nodes:
            for place, held_back in enumerate(queue.unrouted):
                if held_back.number in retried:
                    queue.unrouted[place] = executions[held_back.number]
        if fork.execution is not None and fork.inputs:
            given = executions[fork.execution].given
            await read_back(self.log, owner, [(given, pin) for pin in given])

    async def _take_back_some(self, view: View, numbers: Sequence[int], owner: str) -> None:
        places = {number: view.results.pop(number) for number in numbers if number in view.results}
        gone = [number for number in numbers if number not in places]
        for block in sorted({number // records.BLOCK for number in gone}):
            first = block * records.BLOCK
            found = await self.finished(view, range(first, first + records.BLOCK))
            for number in (number for number in gone if number in found):
                view.run.executions[number] = found[number].execution
                places[number] = found[number].result
        if len(places) < len(numbers):
            await self.forget(view)
            raise CheckpointsGone
        events = await results_at(self.log, places.values())
        for number, place in places.items():
            large = large_in(value for _, value in events[place].outputs)
            whole = put_back(events[place], await read_values(self.log, owner, large))
            assert isinstance(whole, NodeFailed), "what is retried has failed"
            view.run.executions[number].outputs = whole.outputs
