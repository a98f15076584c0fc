"""Running one block as the engine does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from blocks.contract import Block, BlockContext, Http, Reviewed, Templates
from runtime.egress import Egress
from workers.executor.renderers import Renderers


class Given(msgspec.Struct, frozen=True):
    """A block's context, all of it said beforehand."""

    now: datetime
    idempotency_key: str
    http: Http
    templates: Templates
    attempt: int = 1
    review: Reviewed | None = None


RENDERERS = Renderers()
NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def outputs_of(
    block: Block,
    data: Mapping[str, Any],
    http: Http | None = None,
    review: Reviewed | None = None,
) -> list[tuple[str, Any]]:
    """What the block yields for `data`, in order. Without `http` nothing can be reached."""
    context: BlockContext = Given(
        now=NOW,
        idempotency_key="run/node",
        http=http or Egress().of("somebody"),
        templates=RENDERERS.of("somebody"),
        review=review,
    )
    outputs = block.run(msgspec.convert(data, block.Input), context)
    if isinstance(outputs, AsyncIterator):
        return [pair async for pair in outputs]
    return list(outputs)
