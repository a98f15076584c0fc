"""Rows of runs: the same in however many batches the events come."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import pytest
from psycopg import AsyncConnection

from domain.events import Event
from domain.runs import (
    Parent,
    ReviewDecided,
    ReviewReason,
    ReviewRequested,
    RunClaimed,
    RunCompleted,
    RunCreated,
    RunEnd,
    RunFailed,
    RunPaused,
    RunResumed,
    RunStats,
    RunStopRequested,
    RunSuspended,
    RunTerminated,
    stream_of,
)
from projections.projection import EPOCH, Recorded
from projections.runs.read_model import RunsProjection
from runtime.database import Row

RUNS_MAX = 40
PER_BATCH_MAX = 12
TOTALS = ("steps", "errors", "cost", "nodes_us", "wall_us", "waiting")
SELECT = "SELECT * FROM read.runs ORDER BY run_id"


class Life:
    """Events that may follow each other, of several runs at once."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.happened: list[Recorded] = []
        self.claimed: dict[str, bool] = {}
        """Runs that have not ended, and whether a worker has them."""
        self.parents: dict[str, str] = {}
        self.asking: dict[str, list[int]] = {}
        self.created = 0

    def live(self) -> list[Recorded]:
        while self.created < RUNS_MAX or self.claimed:
            if self.created < RUNS_MAX and self.chance.random() < 0.3:
                self.create(None)
            if self.claimed:
                self.move(self.chance.choice(list(self.claimed)))
        return self.happened

    def create(self, parent: str | None) -> None:
        self.created += 1
        run_id = f"run {self.created:03}"
        above = None if parent is None else Parent(parent, 0, 1)
        if parent is not None:
            self.parents[run_id] = parent
        self.claimed[run_id] = False
        self.asking[run_id] = []
        self.record(run_id, RunCreated("u", "g", 1, {"n": self.created}, 9, parent=above))

    def move(self, run_id: str) -> None:
        if self.chance.random() < 0.2:
            self.record(run_id, self.chance.choice((RunPaused(), RunResumed())))
        elif not self.claimed[run_id]:
            self.claimed[run_id] = True
            self.record(run_id, RunClaimed(f"worker {self.chance.randrange(3)}"))
        elif self.asking[run_id] and self.chance.random() < 0.5:
            number = self.asking[run_id].pop()
            self.record(run_id, ReviewDecided(number, "n", approved=True))
        else:
            self.work(run_id)

    def work(self, run_id: str) -> None:
        match self.chance.randrange(6):
            case 0:
                self.claimed[run_id] = False
                until = self.at + timedelta(seconds=9) if self.chance.random() < 0.5 else None
                self.record(run_id, RunSuspended(self.stats, until, len(self.happened)))
            case 1:
                number = len(self.happened)
                self.asking[run_id].append(number)
                asked = ReviewRequested(number, "n", "Letter", {}, ReviewReason.ASKED)
                self.record(run_id, asked)
            case 2 if self.created < RUNS_MAX:
                self.create(run_id)
            case 3:
                self.record(run_id, RunStopRequested())
            case 4:
                self.record(run_id, RunClaimed("another worker"))
            case _:
                del self.claimed[run_id]
                self.record(run_id, self.end(self.parents.get(run_id)))

    def end(self, parent: str | None) -> RunEnd:
        return self.chance.choice(
            (
                RunCompleted(self.stats, parent),
                RunFailed("broken", self.stats, parent),
                RunTerminated(self.stats, parent),
            )
        )

    @property
    def stats(self) -> RunStats:
        counts = {name: self.chance.randrange(3) for name in TOTALS}
        return msgspec.structs.replace(RunStats(), **counts)

    @property
    def at(self) -> datetime:
        return EPOCH + timedelta(seconds=len(self.happened))

    def record(self, run_id: str, event: Event) -> None:
        position = len(self.happened) + 1
        at = position * 1_000_000
        self.happened.append(Recorded(position, stream_of(run_id), 1, "u", at, event))


async def rows(
    connection: AsyncConnection[Row], batches: Sequence[Sequence[Recorded]]
) -> list[Row]:
    """The whole table after these batches; it is empty again afterwards."""
    async with connection.transaction(force_rollback=True):
        for batch in batches:
            await RunsProjection().apply(connection, batch)
        return await (await connection.execute(SELECT)).fetchall()


@pytest.mark.parametrize("attempt", range(4))
async def test_batches_of_any_size_come_to_the_same(
    connection: AsyncConnection[Row], attempt: int
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    happened = Life(seed).live()
    rest, batches = list(happened), []
    while rest:
        size = chance.randint(1, PER_BATCH_MAX)
        batches.append(rest[:size])
        del rest[:size]
    one_by_one = await rows(connection, [[recorded] for recorded in happened])
    assert len(one_by_one) == RUNS_MAX
    assert await rows(connection, batches) == one_by_one
    assert await rows(connection, [happened]) == one_by_one


async def test_a_life_leaves_no_open_counts(connection: AsyncConnection[Row]) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    happened = Life(seed).live()
    open_reviews = {recorded.stream: 0 for recorded in happened}
    for recorded in happened:
        asked = isinstance(recorded.event, ReviewRequested)
        open_reviews[recorded.stream] += asked - isinstance(recorded.event, ReviewDecided)
    async with connection.transaction(force_rollback=True):
        await RunsProjection().apply(connection, happened)
        cursor = await connection.execute(
            "SELECT run_id, reviews, children, worker, suspended, ended_at IS NULL FROM read.runs"
        )
        found = await cursor.fetchall()
    for run_id, reviews, *others in found:
        assert reviews == open_reviews[stream_of(run_id)]
        assert others == [0, None, False, False]
