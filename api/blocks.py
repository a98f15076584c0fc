"""Blocks: what graphs are made of."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from litestar import MediaType, Response, get
from litestar.openapi import ResponseSpec

from api.http.problems import refusals
from blocks.catalogue import CATALOGUE, describe

LISTED = ResponseSpec(
    list[dict[str, Any]], generate_examples=False, description="Every block, in both shapes"
)


@cache
def _listed() -> bytes:
    """The catalogue belongs to the program, so its listing is made once."""
    return msgspec.json.encode([describe(block) for block in CATALOGUE.values()])


@get(
    "/blocks",
    operation_id="getV1ListAvailableBlocks",
    responses=refusals() | {200: LISTED},
    tags=["blocks"],
)
async def list_blocks() -> Response[bytes]:
    """Every block with its pins as JSON Schemas, in both shapes that clients read."""
    return Response(_listed(), media_type=MediaType.JSON)


handlers = [list_blocks]
