"""The rules of matching to the letter: every delivery looks at every execution of its sink.

This is what the engine's queues must agree with (docs/engine-rules.md, D1-D7 and P2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from domain.engine.plan import Plan, PlanLink, PlanNode
from domain.runs import Output


class Entry:
    """One execution, in the order of creation."""

    def __init__(self, node: PlanNode) -> None:
        self.node = node
        self.given: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self.place: int | None = None
        """Among the queued executions of the run; None while incomplete."""
        self.outputs: Sequence[Output] | None = None
        self.is_routed = False


class Letter:
    def __init__(self, plan: Plan, inputs: Mapping[str, Any]) -> None:
        self.entries: list[Entry] = []
        self._places = 0
        for node in plan.starting:
            entry = self._add(node)
            entry.given = plan.starting_inputs(node, inputs)
            self._test(entry)

    def finish(self, number: int, outputs: Sequence[Output]) -> None:
        """P2: route this execution and those after it, as soon as nobody before it is open."""
        finished = self.entries[number]
        finished.outputs = outputs
        queued = [e for e in self._of(finished.node) if e.place is not None]
        for entry in sorted(queued, key=lambda e: e.place or 0):
            if entry.outputs is None:
                return
            if not entry.is_routed:
                entry.is_routed = True
                self._route(entry)

    def _route(self, entry: Entry) -> None:
        for name, value in entry.outputs or ():
            for link in entry.node.output_links:
                delivered, selected = link.selector.select(name, value)
                if delivered:
                    self._deliver(link, selected)

    def _deliver(self, link: PlanLink, value: Any) -> None:
        sink, pin = link.sink, link.sink_name
        takers = [e for e in self._of(sink) if e.place is None and pin not in e.given]
        entry = takers[0] if takers else self._add(sink)  # D2
        entry.given[pin] = value
        latest = self._latest(sink)
        if latest is not None:  # D3
            for static in sink.static_pins:
                entry.given.setdefault(static, latest.given.get(static))
        if self._test(entry) and link.is_static:  # D7
            for other in self._of(sink):
                if other.place is None and any(p not in other.given for p in sink.static_pins):
                    for static in sink.static_pins:
                        other.given.setdefault(static, entry.given[static])
                    self._test(other)

    def _test(self, entry: Entry) -> bool:
        """D5 and D6."""
        if any(pin not in entry.given for pin in entry.node.linked_pins):
            return False
        data, problems = entry.node.prepare(entry.given)
        if problems:
            return False
        entry.data = data
        entry.place = self._places
        self._places += 1
        return True

    def _add(self, node: PlanNode) -> Entry:
        self.entries.append(Entry(node))
        return self.entries[-1]

    def _of(self, node: PlanNode) -> list[Entry]:
        return [entry for entry in self.entries if entry.node is node]

    def _latest(self, node: PlanNode) -> Entry | None:
        queued = [entry for entry in self._of(node) if entry.place is not None]
        return max(queued, key=lambda entry: entry.place or 0, default=None)
