"""A run for those who look at it: what is left to do in memory, what has finished elsewhere.

Every now and then the fold of a long run is cut: what has finished leaves it as records, which are
read again only when somebody wants to see them, and what is left is a state at which any reader may
begin. So a look costs what is unfinished and what is shown, at any moment of a run of any length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from domain.engine import evolve
from domain.engine.execution import Execution
from domain.engine.run import Run
from domain.events import Event
from domain.large_values import Large
from domain.runs import NodeCompleted, NodeFailed, RunStatus

PRUNE_LOADED = 16
"""At least so many large values are looked through at once for those that nobody needs."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where an event stands, and how many bytes it has without its large values."""

    run_id: str
    version: int
    bytes: int


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """The records that the fold of this run had given away up to this version."""

    run_id: str
    version: int


class Everything:
    """Contains all numbers."""

    def __contains__(self, number: object) -> bool:
        return True


class View:
    """`run` has all executions that are not in a record, finished ones without their `data`.

    What an execution was given is what it had been given: `data` follows from it. Large values are
    `Large` where nobody had to look at them.
    """

    def __init__(self, run: Run, segments: Sequence[Segment] = ()) -> None:
        run.kept = Everything()
        run.gathers_outputs = True
        self.run = run
        self.segments = list(segments)
        """Oldest first: those of the runs that it was forked from, and its own."""
        self.results: dict[int, Place] = {}
        """Where the log says how an execution went, for those that have finished and are here."""
        self.ordinals: dict[int, int] = {}
        """The places of the outputs that are here among all, by execution."""
        self.outputs_count = 0
        self._loaded: dict[int, tuple[Any, str]] = {}
        """Large values that had to be looked at, with their hashes, by identity."""
        self._kept_loaded = 0
        self._steps = run.steps

    @property
    def unfinished(self) -> Iterable[Execution]:
        """In the order of their numbers; also those that the run's end has cut off."""
        results = self.results
        return (e for number, e in self.run.executions.items() if number not in results)

    def note_loaded(self, values: Iterable[tuple[Any, str]]) -> None:
        """Say which values in the next event have which hash."""
        self._loaded.update((id(value), (value, key)) for value, key in values)

    def begin(
        self,
        happened: Event,
        at: datetime | None,
        place: Place,
        clock: evolve.Clock | None = None,
    ) -> None:
        """Fold one more event, but for deliveries that are left to `evolve.route_on`."""
        if isinstance(happened, NodeCompleted | NodeFailed):
            self.results[happened.execution] = place
        self._steps = self.run.steps
        evolve.begin(self.run, happened, at, clock)

    def finish(self) -> None:
        """All of the event has been delivered: forget what only the engine had to know."""
        run = self.run
        assert run.routing is None, "nothing is forgotten before it was delivered"
        run.returned.clear()
        for execution in islice(reversed(run.ready.values()), run.steps - self._steps):
            execution.data = {}
            if self._loaded:
                self._unload(execution)
        self._steps = run.steps
        if len(self._loaded) > PRUNE_LOADED + 2 * self._kept_loaded:
            self._prune()

    def number_outputs(self) -> dict[int, int]:
        """The places of the outputs that are here among all outputs of the run, by execution."""
        for number in self.run.outputs:
            if number not in self.ordinals:
                self.ordinals[number] = self.outputs_count
                self.outputs_count += 1
        return self.ordinals

    def without_loaded(self, given: dict[str, Any]) -> dict[str, Any]:
        """The same with `Large` for what was read although it is large."""
        if not self._loaded:
            return given
        return {pin: self._unloaded(value) for pin, value in given.items()}

    def waits_for_values(self) -> Iterable[tuple[dict[str, Any], str]]:
        """Where the engine may have to look at a large value that is not here: a mapping, and a
        pin in it.
        """
        for queue in self.run.nodes:
            waiting = (e.given for e in queue.arrivals if e.status is RunStatus.INCOMPLETE)
            for given in (*waiting, queue.last_given or {}):
                for pin, value in given.items():
                    if type(value) is Large and not queue.node.takes_unseen(pin):
                        yield given, pin

    def _unload(self, execution: Execution) -> None:
        static = execution.node.node.static_pins
        for pin, value in execution.given.items():
            if pin not in static:
                execution.given[pin] = self._unloaded(value)
        output = self.run.outputs.get(execution.number)
        if output is not None:
            self.run.outputs[execution.number] = (output[0], self._unloaded(output[1]))

    def _unloaded(self, value: Any) -> Any:
        known = self._loaded.get(id(value))
        return value if known is None else Large(known[1])

    def _prune(self) -> None:
        needed: set[int] = set()
        for queue in self.run.nodes:
            waiting = (e.given for e in queue.arrivals if e.status is RunStatus.INCOMPLETE)
            for given in (*waiting, queue.last_given or {}):
                needed.update(map(id, given.values()))
        self._loaded = {key: self._loaded[key] for key in self._loaded.keys() & needed}
        self._kept_loaded = len(self._loaded)
