"""Which runs to wake up, and which workers to nudge: what the log says, and nothing else, decides.

A run that wants a worker waits for its turn. Then it is woken up, which counts as having a place
until it is suspended or ends. What comes from outside nudges the worker that has the run, or makes
the run want one.
"""

from __future__ import annotations

from domain.limits import worker_limits
from projections.runs.read_model import UnfinishedRun
from workers.dispatcher.run_queue import QueuedRun, RunQueue
from workers.dispatcher.timers import Timers


class _Run:
    __slots__ = (
        "child_ended",
        "goes_first",
        "is_claimed",
        "is_paused",
        "is_stopping",
        "parent_id",
        "queued",
    )

    def __init__(self, queued: QueuedRun, parent_id: str | None) -> None:
        self.queued = queued
        self.parent_id = parent_id
        self.goes_first = parent_id is not None
        """It has begun, or is part of what has begun, or its turn came and its wake-up was lost."""
        self.is_claimed = False
        self.is_paused = False
        self.is_stopping = False
        self.child_ended = 0
        """The last position at which a child of it ended."""

    @property
    def may_be_called(self) -> bool:
        return self.is_stopping or not self.is_paused


class Dispatcher:
    """All unfinished runs. Facts come in the order of the log, and about unknown runs they say
    nothing; times are seconds since 1970.
    """

    def __init__(self, runs_per_user: int, runs_per_graph: int) -> None:
        self._queue = RunQueue(runs_per_user, runs_per_graph)
        self._runs: dict[str, _Run] = {}
        self._sent: dict[str, float] = {}
        """When the wake-up of each run was sent that nobody has claimed since, in this order."""
        self._nudges: dict[str, None] = {}
        self._timers = Timers()

    def load(self, known: UnfinishedRun) -> None:
        """A run from before the log is heard; to be called for the oldest first.

        Nobody knows any more what its worker was told, so that is nudged.
        """
        self._add(known.run_id, known.user_id, known.graph_id, known.parent_id)
        run = self._runs[known.run_id]
        run.child_ended = known.child_ended
        run.is_paused = known.is_paused
        run.is_stopping = known.is_stopping
        if known.is_claimed:
            self.claimed(known.run_id)
            self._nudges[known.run_id] = None
        elif known.is_suspended:
            run.goes_first = True
            self.suspended(known.run_id, known.wakes_at, known.seen)
        else:
            self._call(known.run_id, run)

    # --- what happened -----------------------------------------------------------------------

    def created(self, run_id: str, user_id: str, graph_id: str, parent_id: str | None) -> None:
        """A run was accepted."""
        self._add(run_id, user_id, graph_id, parent_id)
        self._call(run_id, self._runs[run_id])

    def claimed(self, run_id: str) -> None:
        """A worker took the run, whoever woke it up."""
        run = self._runs.get(run_id)
        if run is not None:
            run.is_claimed = run.goes_first = True
            self._sent.pop(run_id, None)
            self._timers.cancel(run_id)
            self._queue.take_place(run.queued)

    def suspended(self, run_id: str, until: float | None, seen: int) -> None:
        """The worker let go until a moment, having considered ends of children up to `seen`."""
        run = self._runs.get(run_id)
        if run is None:
            return
        self._let_go(run_id, run)
        if run.child_ended > seen:
            self._call(run_id, run)
        elif until is not None:
            self._timers.set(run_id, until)

    def ended(self, run_id: str, position: int) -> None:
        """The run's last event stands at this position."""
        run = self._runs.pop(run_id, None)
        if run is None:
            return
        self._queue.leave(run.queued)
        self._sent.pop(run_id, None)
        self._nudges.pop(run_id, None)
        self._timers.cancel(run_id)
        parent = self._runs.get(run.parent_id) if run.parent_id is not None else None
        if run.parent_id is not None and parent is not None:
            parent.child_ended = position
            self._call(run.parent_id, parent)

    def called(self, run_id: str) -> None:
        """Something came from outside that a worker should look at."""
        run = self._runs.get(run_id)
        if run is not None:
            self._call(run_id, run)

    def stopping(self, run_id: str) -> None:
        """The run shall end, also one that is paused."""
        run = self._runs.get(run_id)
        if run is not None:
            run.is_stopping = True
            self._call(run_id, run)

    def paused(self, run_id: str) -> None:
        """Whoever has the run shall let go of it, and gets no wake-up."""
        run = self._runs.get(run_id)
        if run is not None:
            run.is_paused = True
            if run_id in self._sent:
                self._let_go(run_id, run)
            self._call(run_id, run)

    def resumed(self, run_id: str) -> None:
        """The run goes on, whatever happened while it was paused."""
        run = self._runs.get(run_id)
        if run is not None:
            run.is_paused = False
            self._call(run_id, run)

    def wake_ups_lost(self, until: float) -> None:
        """Wake-ups sent at this moment or earlier are lost: it is their runs' turn again."""
        for run_id in self._sent_until(until):
            run = self._runs[run_id]
            run.goes_first = True
            self._let_go(run_id, run)
            self._call(run_id, run)

    def wake_ups_waiting(self, until: float, now: float) -> list[str]:
        """Wake-ups sent at this moment or earlier still wait for a worker: they count as new.

        Returns the runs that they are for.
        """
        waiting = self._sent_until(until)
        for run_id in waiting:
            del self._sent[run_id]
            self._sent[run_id] = now
        return waiting

    # --- what to do --------------------------------------------------------------------------

    def take_due(self, now: float) -> list[str]:
        """The runs to wake up at this moment; that counts as done."""
        for run_id in self._timers.take_due(now):
            self._call(run_id, self._runs[run_id])
        due = []
        while len(self._sent) < worker_limits.DISPATCH_WINDOW:
            queued = self._queue.next()
            if queued is None:
                break
            if not self._runs[queued.run_id].may_be_called:
                self._queue.give_back(queued)
                continue
            self._sent[queued.run_id] = now
            due.append(queued.run_id)
        return due

    def take_nudges(self) -> list[str]:
        """Runs whose workers should look what has come; that counts as done."""
        nudges = list(self._nudges)
        self._nudges.clear()
        return nudges

    @property
    def first_timer(self) -> float | None:
        """When there may be a run to wake up although nothing happens."""
        return self._timers.first

    @property
    def first_wake_up(self) -> float | None:
        """When the oldest wake-up was sent that nobody has answered."""
        return next(iter(self._sent.values()), None)

    # --- how ----------------------------------------------------------------------------------

    def _add(self, run_id: str, user_id: str, graph_id: str, parent_id: str | None) -> None:
        self._runs[run_id] = _Run(self._queue.join(run_id, user_id, graph_id), parent_id)

    def _call(self, run_id: str, run: _Run) -> None:
        """Let a worker look at the run: the one that has it, or the next one that is free."""
        if run.is_claimed:
            self._nudges[run_id] = None
        elif run.may_be_called and not (run.queued.has_place or run.queued.is_waiting):
            self._timers.cancel(run_id)
            self._queue.wait(run.queued, first=run.goes_first)

    def _let_go(self, run_id: str, run: _Run) -> None:
        run.is_claimed = False
        self._sent.pop(run_id, None)
        self._queue.give_back(run.queued)

    def _sent_until(self, until: float) -> list[str]:
        sent = []
        for run_id, at in self._sent.items():
            if at > until:
                break
            sent.append(run_id)
        return sent
