"""Reviews: decided by the owner of the run that waits for them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from commands import streams as handling
from commands.context import Context
from commands.run_lives import LifeReader, execute
from commands.streams import Done, Streams
from domain import reviews
from domain.reviews import Decision
from runtime.eventlog.log import StreamWrite

__all__ = ["Decision", "ReviewsDecided", "decide"]


class ReviewsDecided(msgspec.Struct, frozen=True):
    run_id: str
    approved: int
    rejected: int


async def decide(
    streams: Streams, context: Context, *, run_id: str, decisions: Sequence[Decision]
) -> Done[ReviewsDecided]:
    """Decide reviews of one run, all of them or none (4.11).

    Raises NotFound for a run or review that is not there, Conflict when the run has ended, and
    Invalid for what may not be decided like this.
    """
    reader = LifeReader(streams, run_id)

    async def settle() -> handling.Decision[ReviewsDecided]:
        life = await reader.read_owned(context.owner)
        events = reviews.decide(life, decisions)
        approved = sum(event.approved for event in events)
        return handling.Decision(
            writes=[StreamWrite.of(reader.stream, life.version, events)],
            answer=ReviewsDecided(run_id, approved, len(events) - approved),
        )

    return await execute(streams, context, run_id, settle, ReviewsDecided)
