"""Runs that are started over HTTP and whose worker is the test: it writes what happens in them."""

from __future__ import annotations

from typing import Any

from domain import runs
from domain.events import Event
from domain.runs import NodeCompleted, RunClaimed, execution_id
from runtime.eventlog.log import EventLog, Origin, StreamWrite
from tests.support.api import Caller, Saved
from tests.support.graphs import Document

CLAIM = RunClaimed(worker="test/1")


class WrittenRun:
    """A run of an installation that has no executor."""

    def __init__(self, log: EventLog, user: Caller, graph: Saved, run_id: str) -> None:
        self.run_id = run_id
        self.path = graph.run_path(run_id)
        self.stream = runs.stream_of(run_id)
        self._graph = graph
        self._log = log
        self._user = user

    @property
    def owner(self) -> str:
        return str(self._user.user_id)

    async def append(self, *events: Event) -> int:
        """Append after whatever the run's stream has. Returns the version of the last event."""
        versions = await self._log.versions_of([self.stream])
        write = StreamWrite.of(self.stream, versions[self.stream], events)
        await self._log.append([write], Origin(owner=self.owner, actor="worker:test"))
        return versions[self.stream] + len(events)

    async def shown(self, **query: Any) -> Document:
        """The run's page."""
        text = "&".join(f"{name}={value}" for name, value in query.items())
        page: Document = await self._user.read(f"{self.path}?{text}")
        return page

    def node(self, name: str) -> str:
        """The id of the node that the test calls by this name."""
        return self._graph.ids[name]

    def execution_id(self, number: int) -> str:
        return execution_id(self.run_id, number)

    def completed(self, number: int, name: str, *outputs: tuple[str, Any]) -> NodeCompleted:
        """A node's success, which took 5 µs."""
        return NodeCompleted(number, self.node(name), list(outputs), elapsed_us=5)


async def begun(
    log: EventLog, user: Caller, graph: Saved, inputs: Document | None = None, **members: Any
) -> WrittenRun:
    """A run that was accepted just now; `members` are laid over the body of its start."""
    return WrittenRun(log, user, graph, await user.start(graph, inputs, **members))
