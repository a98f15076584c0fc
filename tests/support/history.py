"""A small installation's life, made up from a seed: users, graphs, runs and what they cost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime

from domain import credits as accounts
from domain import runs, users
from domain.credits import CreditsGranted, CreditsHeld, HoldReleased, HoldSettled
from domain.events import Event
from domain.graphs import graph
from domain.graphs.files import GraphDraft, Node
from domain.graphs.graph import VersionSaved
from domain.runs import (
    CreditsExtended,
    NodeCompleted,
    NodeDeferred,
    NodeFailed,
    NodeStarted,
    ReviewDecided,
    ReviewReason,
    ReviewRequested,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunFailed,
    RunStats,
)
from domain.users import ProfileChanged, UserRegistered
from runtime.eventlog.log import EventLog, Origin, StreamWrite

AT = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)

Entry = tuple[str, str, Event]
"""Owner, stream, event."""


class History:
    """Appends made-up events; every life is the same for the same seed."""

    def __init__(self, log: EventLog, seed: int) -> None:
        self.log = log
        self.random = random.Random(seed)
        self.versions: dict[str, int] = {}

    async def live(self, *, owners: int, runs_each: int) -> None:
        """Everything of all owners, interleaved at random."""
        lives = [self._life(f"owner-{number}", runs_each) for number in range(owners)]
        while lives:
            life = self.random.choice(lives)
            entries = next(life, None)
            if entries is None:
                lives.remove(life)
            else:
                await self.write(entries)

    async def write(self, entries: list[Entry]) -> None:
        """One append."""
        writes = []
        for _, stream, event in entries:
            version = self.versions.get(stream, 0)
            writes.append(StreamWrite.of(stream, version, [event]))
            self.versions[stream] = version + 1
        owner = entries[0][0]
        await self.log.append(writes, Origin(owner=owner, actor=owner))

    def _life(self, owner: str, runs_each: int) -> Iterator[list[Entry]]:
        account = accounts.ACCOUNT.stream_of(owner)
        registered = UserRegistered(owner, f"{owner}@example.org", None, AT)
        granted = CreditsGranted(self.random.randrange(1_000, 5_000), "signup")
        yield [(owner, users.USER.stream_of(owner), registered), (owner, account, granted)]
        graph_id = f"graph-of-{owner}"
        for version in range(1, self.random.randrange(2, 5)):
            yield [
                (owner, graph.GRAPH.stream_of(graph_id), self._version(owner, graph_id, version))
            ]
        for number in range(runs_each):
            yield from self._run(owner, graph_id, f"{owner}-{number}")
        changed = ProfileChanged(f"{owner}@example.com", "A name", AT)
        yield [(owner, users.USER.stream_of(owner), changed)]

    def _version(self, owner: str, graph_id: str, version: int) -> VersionSaved:
        draft = GraphDraft(
            id=graph_id,
            version=version,
            name=f"{graph_id} {version}",
            is_active=version == 1 or self.random.random() < 0.5,
            nodes=(Node(id="n", block_id="b"),),
        )
        return VersionSaved(owner, version, draft, {}, AT)

    def _run(self, owner: str, graph_id: str, run_id: str) -> Iterator[list[Entry]]:
        stream, account = runs.stream_of(run_id), accounts.ACCOUNT.stream_of(owner)
        held = self.random.choice((0, 3, 10))
        created = RunCreated(owner, graph_id, 1, {"name": run_id}, steps_max=9, held=held)
        holding: list[Entry] = [(owner, account, CreditsHeld(run_id, held))] if held else []
        yield [(owner, stream, created), *holding]
        if self.random.random() < 0.1:
            return
        for claim in range(self.random.choice((1, 1, 2))):
            yield [(owner, stream, RunClaimed(f"worker-{claim}"))]
        stats = RunStats()
        for execution in range(self.random.randrange(4)):
            yield [(owner, stream, event) for event in self._node(execution)]
            stats = RunStats(stats.steps + 1, stats.errors, stats.cost, stats.nodes_us + 7)
        closing: Event
        if self.random.random() < 0.2:
            yield [(owner, stream, self._question(execution)) for execution in range(2)]
            ending: Event = RunFailed("it would not end", stats)
            closing = HoldReleased(run_id, held)
        else:
            ending = RunCompleted(stats)
            closing = HoldSettled(run_id, held, self.random.randrange(held + 1))
        yield [(owner, stream, ending), *([(owner, account, closing)] if held else [])]

    def _node(self, execution: int) -> list[Event]:
        ways: tuple[list[Event], ...] = (
            [NodeCompleted(execution, "n", [("result", {"deep": [execution]})], 7)],
            [NodeStarted(execution, "n"), NodeFailed(execution, "n", "no", 7)],
            [NodeDeferred(execution, "n", AT), NodeCompleted(execution, "n", [], 7)],
            [CreditsExtended(1), NodeCompleted(execution, "n", [], 7, cost=1)],
            [*self._asked(execution), NodeCompleted(execution, "n", [], 7)],
            [*self._asked(execution), *self._asked(execution)],
        )
        return self.random.choice(ways)

    def _asked(self, execution: int) -> list[Event]:
        """A person is asked, and answers."""
        approved = self.random.random() < 0.5
        return [self._question(execution), ReviewDecided(execution, "n", approved, message="so")]

    def _question(self, execution: int) -> ReviewRequested:
        data = {"attempt": self.random.randrange(9)}
        return ReviewRequested(execution, "n", "Letter", data, ReviewReason.ASKED, editable=True)
