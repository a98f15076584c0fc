"""One execution of a node, and the queue of executions that a node has."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from itertools import accumulate, compress
from typing import Any

from domain.engine.plan import PlanNode
from domain.engine.schemas import Known
from domain.engine.suspicion import Loss
from domain.runs import Output, ReviewDecided, ReviewRequested, RunStatus

COMPACT_ARRIVALS = 512
"""At least so many executions that take nothing any more are dropped at once."""


class Execution:
    """A set of inputs on its way through a node. `given` is what links and starts delivered."""

    __slots__ = (
        "added_at",
        "asked",
        "attempt",
        "child",
        "data",
        "decided",
        "delivered",
        "elapsed_us",
        "ended_at",
        "error",
        "given",
        "lost",
        "node",
        "number",
        "outputs",
        "queue_number",
        "queued_at",
        "started_at",
        "status",
        "until",
    )

    def __init__(self, number: int, node: NodeQueue, at: datetime | None) -> None:
        self.number = number
        self.node = node
        self.status = RunStatus.INCOMPLETE
        self.given: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self.outputs: list[Output] = []
        self.error: str | None = None
        self.delivered: list[Output] = []
        """Routed by an earlier attempt, in a run that this one was forked from."""
        self.attempt = 0
        self.lost: list[Loss] = []
        """Workers that were lost while it was at work, since its last known outcome."""
        self.elapsed_us = 0
        self.until: datetime | None = None
        """Until when it waits: for its time, or for its next attempt."""
        self.child: str | None = None
        """The run that it became."""
        self.asked: ReviewRequested | None = None
        self.decided: ReviewDecided | None = None
        self.added_at = at
        self.queue_number = 0
        """Its place among the queued executions of the run."""
        self.queued_at: datetime | None = None
        self.started_at: datetime | None = None
        self.ended_at: datetime | None = None

    @property
    def is_finished(self) -> bool:
        return self.status is RunStatus.COMPLETED or self.status is RunStatus.FAILED

    @property
    def is_in_doubt(self) -> bool:
        """It was started and its outcome is not known: the effect may have happened."""
        return self.status is RunStatus.RUNNING and self.until is None and self.child is None

    def lacks(self) -> list[str]:
        """The linked pins that no value has arrived at."""
        return [pin for pin in self.node.node.linked_pins if pin not in self.given]

    def problems(self) -> dict[str, str]:
        """Why the inputs that have arrived are not enough, by pin."""
        return {} if self.lacks() else dict(self.node.node.prepare(self.given)[1])


class NodeQueue:
    """The executions of one node in a run, arranged so that every delivery is found at once.

    An execution never loses a pin and never becomes incomplete again, so for each pin the first
    execution that can take a value only moves forward: `_next` remembers where it stands.
    """

    __slots__ = (
        "_done",
        "_held_back",
        "_next",
        "arrivals",
        "known",
        "last_given",
        "node",
        "unrouted",
        "without_static",
    )

    def __init__(self, node: PlanNode) -> None:
        self.node = node
        self.arrivals: list[Execution] = []
        """The executions that may still take a value, among others, in order."""
        self._done = 0
        """How many of them take nothing any more."""
        self._held_back = 0
        """How many have finished of a node that delivers nothing, since they were dropped last."""
        self._next: dict[str, int] = {}
        self.without_static: dict[int, Execution] = {}
        """Incomplete executions that lack a static pin, by number."""
        self.last_given: dict[str, Any] | None = None
        """What the execution that was queued last had been given."""
        self.known = Known(node.static_pins) if node.static_pins else None
        """What was made of the values that are repeated."""
        self.unrouted: deque[Execution] = deque()
        """Queued executions whose outputs have not been routed yet, oldest first (4.5, P2)."""

    def taker_of(self, pin: str) -> Execution | None:
        """The earliest incomplete execution that has no value at exactly this pin (4.4, D2)."""
        position = self._next.get(pin, 0)
        arrivals = self.arrivals
        while position < len(arrivals):
            candidate = arrivals[position]
            if candidate.status is RunStatus.INCOMPLETE and pin not in candidate.given:
                break
            position += 1
        self._next[pin] = position
        return arrivals[position] if position < len(arrivals) else None

    def fill_static(self, execution: Execution) -> None:
        """Repeat the last used value of each static pin that is missing (4.4, D3)."""
        if not self.node.static_pins:
            return
        if self.last_given is not None:
            for pin in self.node.static_pins:
                if pin not in execution.given:
                    execution.given[pin] = self.last_given.get(pin)
        if any(pin not in execution.given for pin in self.node.static_pins):
            self.without_static[execution.number] = execution

    def release_static(self, queued: Execution) -> list[Execution]:
        """Give the static pins of `queued` to all that lack them (4.4, D7); returns those."""
        released = list(self.without_static.values())
        for execution in released:
            for pin in self.node.static_pins:
                if pin not in execution.given:
                    execution.given[pin] = queued.given.get(pin)
        self.without_static.clear()
        return released

    def enqueue(self, execution: Execution, data: dict[str, Any], at: datetime | None) -> None:
        execution.status = RunStatus.QUEUED
        execution.data = data
        execution.queued_at = at
        self.without_static.pop(execution.number, None)
        self.last_given = execution.given
        self.unrouted.append(execution)
        self._done += 1
        if self._done >= max(COMPACT_ARRIVALS, len(self.arrivals) // 2):
            self._compact()

    def shed(self, finished: Execution) -> None:
        """Keep of an execution that nobody looks at any more what is still to be delivered: it may
        have to wait for ever, for one that was queued before it.
        """
        finished.given, finished.data = {}, {}
        if self.unrouted[0] is finished:
            return
        finished.outputs = self.undelivered(finished)
        if not self.node.output_links:
            self._held_back += 1
            if self._held_back >= max(COMPACT_ARRIVALS, len(self.unrouted) // 2):
                self.unrouted = deque(one for one in self.unrouted if not one.is_finished)
                self._held_back = 0

    def undelivered(self, finished: Execution) -> list[Output]:
        """What links will carry. All of it where it is compared with what had been delivered."""
        if finished.delivered:
            return finished.outputs
        return [one for one in finished.outputs if self.node.links_for(one[0])]

    def empty(self) -> None:
        """Forget all executions."""
        self.arrivals.clear()
        self.unrouted.clear()
        self.without_static.clear()
        self.known = None

    def _compact(self) -> None:
        """Forget the executions that take nothing any more, wherever they stand: one that stands
        before them may wait for ever.
        """
        waits = [execution.status is RunStatus.INCOMPLETE for execution in self.arrivals]
        places = [0, *accumulate(waits)]
        self._next = {pin: places[place] for pin, place in self._next.items()}
        self.arrivals = list(compress(self.arrivals, waits))
        self._done = 0
