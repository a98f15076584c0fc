"""Fair shares: which run may have the next place, when there are more runs than places.

Users take turns. Within a user's turn, runs that go first are before all others, and otherwise
the older before the younger; a run whose graph has reached its limit lets others pass. Each call
costs at most the logarithm of a queue's length, on the average over all calls.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush


class Share:
    """What one run has: a place, a ticket for one, or nothing."""

    __slots__ = ("has_place", "lane", "run_id", "ticket")

    def __init__(self, run_id: str, lane: _Lane) -> None:
        self.run_id = run_id
        self.lane = lane
        self.ticket = 0
        """That of its entry in the queue; entries with another one are void."""
        self.has_place = False

    @property
    def is_waiting(self) -> bool:
        return self.ticket > 0


_Entry = tuple[bool, int, Share]
"""What queues are ordered by: not going first, then the ticket."""


class _Lane:
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
    __slots__ = ("has_turn", "lanes", "places", "queue", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.lanes: dict[str, _Lane] = {}
        self.places = 0
        self.queue: list[_Entry] = []
        self.has_turn = False
        """Whether the user is among those who take turns; not when there is nothing to take."""


class Shares:
    """The places of all users. Limits are for places of one user, and of one user's graph."""

    def __init__(self, per_user: int, per_graph: int) -> None:
        self._per_user = per_user
        self._per_graph = per_graph
        self._users: dict[str, _User] = {}
        self._turns: deque[_User] = deque()
        self._tickets = 0

    def join(self, run_id: str, user_id: str, graph_id: str) -> Share:
        """The share of a new run."""
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = _User(user_id)
        lane = user.lanes.get(graph_id)
        if lane is None:
            lane = user.lanes[graph_id] = _Lane(user, graph_id)
        lane.runs += 1
        return Share(run_id, lane)

    def leave(self, share: Share) -> None:
        """The run has ended: nothing is kept of it."""
        self.give_back(share)
        lane, user = share.lane, share.lane.user
        lane.runs -= 1
        if lane.runs == 0:
            del user.lanes[lane.graph_id]
        if not user.lanes:
            del self._users[user.user_id]

    def wait(self, share: Share, *, first: bool) -> None:
        """Queue up for a place."""
        self._tickets += 1
        share.ticket = self._tickets
        user = share.lane.user
        heappush(user.queue, (not first, share.ticket, share))
        self._give_turn(user)

    def next(self) -> Share | None:
        """Whose turn it is, and for whom there is a place, which it has from now on."""
        while self._turns:
            user = self._turns.popleft()
            user.has_turn = False
            share = self._next_of(user)
            if share is not None:
                self.take_place(share)
                self._give_turn(user)
                return share
        return None

    def take_place(self, share: Share) -> None:
        """Have a place, also beyond the limits: somebody is at work already."""
        if share.has_place:
            return
        share.has_place = True
        share.lane.places += 1
        share.lane.user.places += 1
        self._void(share)

    def give_back(self, share: Share) -> None:
        """Have no place and wait for none."""
        self._void(share)
        if share.has_place:
            share.has_place = False
            share.lane.places -= 1
            share.lane.user.places -= 1
            self._unblock(share.lane)

    def _next_of(self, user: _User) -> Share | None:
        while user.queue and user.places < self._per_user:
            entry = heappop(user.queue)
            _, ticket, share = entry
            if share.ticket != ticket:
                continue
            if share.lane.places < self._per_graph:
                share.ticket = 0
                return share
            heappush(share.lane.blocked, entry)
        return None

    def _void(self, share: Share) -> None:
        """The share's entry counts no more. If it had been unblocked, another one is instead."""
        if share.ticket:
            share.ticket = 0
            self._unblock(share.lane)

    def _unblock(self, lane: _Lane) -> None:
        while lane.blocked:
            entry = heappop(lane.blocked)
            if entry[2].ticket == entry[1]:
                heappush(lane.user.queue, entry)
                break
        self._give_turn(lane.user)

    def _give_turn(self, user: _User) -> None:
        if user.queue and not user.has_turn:
            user.has_turn = True
            self._turns.append(user)
