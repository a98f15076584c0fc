"""A fair queue: which run may have the next place, when there are more runs than places.

Users take turns. Within a user's turn, runs that go first are before all others, and otherwise
the older before the younger; a run whose graph has reached its limit lets others pass. Each call
costs at most the logarithm of a queue's length, on the average over all calls.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush


class QueuedRun:
    """What one run has: a place, a ticket for one, or nothing."""

    __slots__ = ("graph", "has_place", "run_id", "ticket")

    def __init__(self, run_id: str, graph: _GraphRuns) -> None:
        self.run_id = run_id
        self.graph = graph
        self.ticket = 0
        """That of its entry in the queue; entries with another one are void."""
        self.has_place = False

    @property
    def is_waiting(self) -> bool:
        return self.ticket > 0


_Entry = tuple[bool, int, QueuedRun]
"""What queues are ordered by: not going first, then the ticket."""


class _GraphRuns:
    """The runs of one user's graph."""

    __slots__ = ("blocked", "graph_id", "places", "runs", "user")

    def __init__(self, user: _User, graph_id: str) -> None:
        self.user = user
        self.graph_id = graph_id
        self.runs = 0
        self.places = 0
        self.blocked: list[_Entry] = []
        """Whose turn came while the graph was at its limit. For each place that is given back, one
        of them goes back to the user's queue."""


class _User:
    __slots__ = ("graphs", "has_turn", "places", "queue", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.graphs: dict[str, _GraphRuns] = {}
        self.places = 0
        self.queue: list[_Entry] = []
        self.has_turn = False
        """Whether the user is among those who take turns; not when there is nothing to take."""


class RunQueue:
    """The places of all users. Limits are for places of one user, and of one user's graph."""

    def __init__(self, per_user: int, per_graph: int) -> None:
        self._per_user = per_user
        self._per_graph = per_graph
        self._users: dict[str, _User] = {}
        self._turns: deque[_User] = deque()
        self._tickets = 0

    def join(self, run_id: str, user_id: str, graph_id: str) -> QueuedRun:
        """A new run, which waits for nothing yet."""
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(user_id)
        graph = user.graphs.get(graph_id)
        if graph is None:
            graph = user.graphs[graph_id] = _GraphRuns(user, graph_id)
        graph.runs += 1
        return QueuedRun(run_id, graph)

    def leave(self, queued: QueuedRun) -> None:
        """The run has ended: nothing is kept of it."""
        self.give_back(queued)
        graph, user = queued.graph, queued.graph.user
        graph.runs -= 1
        if graph.runs == 0:
            del user.graphs[graph.graph_id]
        if not user.graphs:
            del self._users[user.user_id]

    def wait(self, queued: QueuedRun, *, first: bool) -> None:
        """Queue up for a place."""
        self._tickets += 1
        queued.ticket = self._tickets
        user = queued.graph.user
        heappush(user.queue, (not first, queued.ticket, queued))
        self._give_turn(user)

    def next(self) -> QueuedRun | None:
        """Whose turn it is, and for whom there is a place, which it has from now on."""
        while self._turns:
            user = self._turns.popleft()
            user.has_turn = False
            queued = self._next_of(user)
            if queued is not None:
                self.take_place(queued)
                self._give_turn(user)
                return queued
        return None

    def take_place(self, queued: QueuedRun) -> None:
        """Have a place, also beyond the limits: somebody is at work already."""
        if queued.has_place:
            return
        queued.has_place = True
        queued.graph.places += 1
        queued.graph.user.places += 1
        self._void(queued)

    def give_back(self, queued: QueuedRun) -> None:
        """Have no place and wait for none."""
        self._void(queued)
        if queued.has_place:
            queued.has_place = False
            queued.graph.places -= 1
            queued.graph.user.places -= 1
            self._unblock(queued.graph)

    def _next_of(self, user: _User) -> QueuedRun | None:
        while user.queue and user.places < self._per_user:
            entry = heappop(user.queue)
            _, ticket, queued = entry
            if queued.ticket != ticket:
                continue
            if queued.graph.places < self._per_graph:
                queued.ticket = 0
                return queued
            heappush(queued.graph.blocked, entry)
        return None

    def _void(self, queued: QueuedRun) -> None:
        """The run's entry counts no more. If it had been unblocked, another one is instead."""
        if queued.ticket:
            queued.ticket = 0
            self._unblock(queued.graph)

    def _unblock(self, graph: _GraphRuns) -> None:
        while graph.blocked:
            entry = heappop(graph.blocked)
            if entry[2].ticket == entry[1]:
                heappush(graph.user.queue, entry)
                break
        self._give_turn(graph.user)

    def _give_turn(self, user: _User) -> None:
        if user.queue and not user.has_turn:
            user.has_turn = True
            self._turns.append(user)
