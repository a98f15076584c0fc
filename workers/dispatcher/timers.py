"""When runs want to be woken: one moment a run, the earliest first. Pure; moments are numbers."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

SLACK = 64


class Timers:
    """At most one timer a name; setting and cancelling cost next to nothing.

    What was cancelled or replaced stays in the heap until it comes up, or until most of the heap
    is of that kind.
    """

    def __init__(self) -> None:
        self._moments: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    @property
    def first(self) -> float | None:
        """The earliest moment; None when nothing is set."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def set(self, name: str, moment: float) -> None:
        """Set the timer of this name, in place of an earlier one."""
        if self._moments.get(name) == moment:
            return
        self._moments[name] = moment
        heappush(self._heap, (moment, name))
        self._compact()

    def cancel(self, name: str) -> None:
        """Forget the timer of this name, if there is one."""
        if self._moments.pop(name, None) is not None:
            self._compact()

    def take_due(self, now: float) -> list[str]:
        """Whose moment has come, in order; their timers are over."""
        due = []
        while (first := self.first) is not None and first <= now:
            _, name = heappop(self._heap)
            del self._moments[name]
            due.append(name)
        self._compact()
        return due

    def _drop_stale(self) -> None:
        heap = self._heap
        while heap and self._moments.get(heap[0][1]) != heap[0][0]:
            heappop(heap)

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._moments) + SLACK:
            self._heap = [(moment, name) for name, moment in self._moments.items()]
            heapify(self._heap)
