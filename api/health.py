"""Health: whether the parts that the API needs answer."""

from __future__ import annotations

import asyncio

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from msgspec import UNSET, UnsetType

from api.auth import PUBLIC
from api.services import Services
from runtime import database

ANSWER_SECONDS_MAX = 2.0


class Health(msgspec.Struct):
    """`part` is there when the status is `unhealthy`."""

    status: str
    part: str | UnsetType = UNSET


@get(
    "/health",
    operation_id="getHealth",
    responses={503: ResponseSpec(Health, generate_examples=False, description="Unhealthy")},
    tags=["health"],
    opt={PUBLIC: True},
)
async def health(services: NamedDependency[Services]) -> Response[Health]:
    """200 when all parts answer, otherwise 503 with the name of the first that does not.

    Without NATS commands are still accepted and kept; runs move again when it is back.
    """
    part = await _silent_part(services)
    if part is None:
        return Response(Health("healthy"))
    return Response(Health("unhealthy", part), status_code=503)


async def _silent_part(services: Services) -> str | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX), services.log.pool.connection() as session:
            await session.execute("SELECT 1")
    except database.LOST:
        return "database"
    if not services.broker.is_heard:
        return "nats"
    return None


handlers = [health]
