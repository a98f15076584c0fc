"""Reviews: decided by the owner of the run that waits for them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from commands.runs.lives import LifeReader, execute
from domain import reviews
from domain.reviews import ReviewDecision
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Decision, Done, Repository
from runtime.eventlog.log import StreamWrite


class ReviewsDecided(msgspec.Struct, frozen=True):
    run_id: str
    approved: int
    rejected: int


async def decide(
    repository: Repository,
    context: CommandContext,
    *,
    run_id: str,
    decisions: Sequence[ReviewDecision],
) -> Done[ReviewsDecided]:
    """Decide reviews of one run, all of them or none (4.11).

    Raises NotFound for a run or review that is not there, Conflict when the run has ended, and
    Invalid for what may not be decided like this.
    """
    reader = LifeReader(repository, run_id)

    async def settle() -> Decision[ReviewsDecided]:
        life = await reader.read_owned(context.owner)
        events = reviews.decide(life, decisions)
        approved = sum(event.approved for event in events)
        return Decision(
            writes=[StreamWrite.of(reader.stream, life.version, events)],
            answer=ReviewsDecided(run_id, approved, len(events) - approved),
        )

    return await execute(repository, context, run_id, settle, ReviewsDecided)
