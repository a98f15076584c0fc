"""Reviews: decided by the owner of the run that waits for them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from commands.run_lives import LifeReader, execute
from domain import reviews
from domain.reviews import Decision
from runtime.aggregates import repository as aggregates
from runtime.aggregates.context import Context
from runtime.aggregates.repository import Done, Repository
from runtime.eventlog.log import StreamWrite

__all__ = ["Decision", "ReviewsDecided", "decide"]


class ReviewsDecided(msgspec.Struct, frozen=True):
    run_id: str
    approved: int
    rejected: int


async def decide(
    repository: Repository, context: Context, *, run_id: str, decisions: Sequence[Decision]
) -> Done[ReviewsDecided]:
    """Decide reviews of one run, all of them or none (4.11).

    Raises NotFound for a run or review that is not there, Conflict when the run has ended, and
    Invalid for what may not be decided like this.
    """
    reader = LifeReader(repository, run_id)

    async def settle() -> aggregates.Decision[ReviewsDecided]:
        life = await reader.read_owned(context.owner)
        events = reviews.decide(life, decisions)
        approved = sum(event.approved for event in events)
        return aggregates.Decision(
            writes=[StreamWrite.of(reader.stream, life.version, events)],
            answer=ReviewsDecided(run_id, approved, len(events) - approved),
        )

    return await execute(repository, context, run_id, settle, ReviewsDecided)
