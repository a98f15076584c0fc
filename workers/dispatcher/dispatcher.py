"""For which runs to ring, and which workers to wake: what the log says, and nothing else, decides.

A run that wants a worker waits for its share. Then it is rung for, which counts as having a place
until it rests or ends. What comes from outside wakes the worker that has the run, or makes the
run want one.
"""

from __future__ import annotations

from domain import limits
from projections.runs import UnfinishedRun
from workers.dispatcher.alarms import Alarms
from workers.dispatcher.shares import Share, Shares


class _Run:
    __slots__ = (
        "child_ended",
        "goes_first",
        "is_claimed",
        "is_paused",
        "is_stopping",
        "parent_id",
        "share",
    )

    def __init__(self, share: Share, parent_id: str | None) -> None:
        self.share = share
        self.parent_id = parent_id
        self.goes_first = parent_id is not None
        """It has begun, or is a part of what has begun, or its turn came and its bell was lost."""
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
        self._shares = Shares(runs_per_user, runs_per_graph)
        self._runs: dict[str, _Run] = {}
        self._rung: dict[str, float] = {}
        """When each run was rung for that nobody has claimed since, in this order."""
        self._wakes: dict[str, None] = {}
        self._alarms = Alarms()

    def load(self, known: UnfinishedRun) -> None:
        """A run from before the log is heard; to be called for the oldest first.

        Nobody knows any more what its worker was told, so that is woken.
        """
        self._add(known.run_id, known.user_id, known.graph_id, known.parent_id)
        run = self._runs[known.run_id]
        run.child_ended = known.child_ended
        run.is_paused = known.is_paused
        run.is_stopping = known.is_stopping
        if known.is_claimed:
            self.claimed(known.run_id)
            self._wakes[known.run_id] = None
        elif known.rests:
            run.goes_first = True
            self.rested(known.run_id, known.wakes_at, known.seen)
        else:
            self._call(known.run_id, run)

    # --- what happened -----------------------------------------------------------------------

    def created(self, run_id: str, user_id: str, graph_id: str, parent_id: str | None) -> None:
        """A run was accepted."""
        self._add(run_id, user_id, graph_id, parent_id)
        self._call(run_id, self._runs[run_id])

    def claimed(self, run_id: str) -> None:
        """A worker took the run, whoever rang for it."""
        run = self._runs.get(run_id)
        if run is not None:
            run.is_claimed = run.goes_first = True
            self._rung.pop(run_id, None)
            self._alarms.cancel(run_id)
            self._shares.take_place(run.share)

    def rested(self, run_id: str, until: float | None, seen: int) -> None:
        """The worker let go until a moment, having considered ends of children up to `seen`."""
        run = self._runs.get(run_id)
        if run is None:
            return
        self._let_go(run_id, run)
        if run.child_ended > seen:
            self._call(run_id, run)
        elif until is not None:
            self._alarms.set(run_id, until)

    def ended(self, run_id: str, position: int) -> None:
        """The run's last event stands at this position."""
        run = self._runs.pop(run_id, None)
        if run is None:
            return
        self._shares.leave(run.share)
        self._rung.pop(run_id, None)
        self._wakes.pop(run_id, None)
        self._alarms.cancel(run_id)
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
        """Whoever has the run shall let go of it, and it is not rung for."""
        run = self._runs.get(run_id)
        if run is not None:
            run.is_paused = True
            if run_id in self._rung:
                self._let_go(run_id, run)
            self._call(run_id, run)

    def resumed(self, run_id: str) -> None:
        """The run goes on, whatever happened while it was paused."""
        run = self._runs.get(run_id)
        if run is not None:
            run.is_paused = False
            self._call(run_id, run)

    def bells_lost(self, until: float) -> None:
        """Bells rung at this moment or earlier are lost: it is their runs' turn again."""
        for run_id in self._rung_until(until):
            run = self._runs[run_id]
            run.goes_first = True
            self._let_go(run_id, run)
            self._call(run_id, run)

    def bells_waiting(self, until: float, now: float) -> list[str]:
        """Bells rung at this moment or earlier still wait for a worker: they count as new.

        Returns the runs that they are for.
        """
        waiting = self._rung_until(until)
        for run_id in waiting:
            del self._rung[run_id]
            self._rung[run_id] = now
        return waiting

    # --- what to do --------------------------------------------------------------------------

    def ring(self, now: float) -> list[str]:
        """The runs to ring for at this moment; that counts as done."""
        for run_id in self._alarms.take_due(now):
            self._call(run_id, self._runs[run_id])
        rung = []
        while len(self._rung) < limits.DISPATCH_WINDOW:
            share = self._shares.next()
            if share is None:
                break
            if not self._runs[share.run_id].may_be_called:
                self._shares.give_back(share)
                continue
            self._rung[share.run_id] = now
            rung.append(share.run_id)
        return rung

    def take_wakes(self) -> list[str]:
        """Runs whose workers should look what has come; that counts as done."""
        wakes = list(self._wakes)
        self._wakes.clear()
        return wakes

    @property
    def first_alarm(self) -> float | None:
        """When there may be something to ring for although nothing happens."""
        return self._alarms.first

    @property
    def first_bell(self) -> float | None:
        """When the oldest bell was rung that nobody has answered."""
        return next(iter(self._rung.values()), None)

    # --- how ----------------------------------------------------------------------------------

    def _add(self, run_id: str, user_id: str, graph_id: str, parent_id: str | None) -> None:
        self._runs[run_id] = _Run(self._shares.join(run_id, user_id, graph_id), parent_id)

    def _call(self, run_id: str, run: _Run) -> None:
        """Let a worker look at the run: the one that has it, or the next one that is free."""
        if run.is_claimed:
            self._wakes[run_id] = None
        elif run.may_be_called and not (run.share.has_place or run.share.is_waiting):
            self._alarms.cancel(run_id)
            self._shares.wait(run.share, first=run.goes_first)

    def _let_go(self, run_id: str, run: _Run) -> None:
        run.is_claimed = False
        self._rung.pop(run_id, None)
        self._shares.give_back(run.share)

    def _rung_until(self, until: float) -> list[str]:
        rung = []
        for run_id, at in self._rung.items():
            if at > until:
                break
            rung.append(run_id)
        return rung
