"""Health: whether the parts that the API needs answer."""

from __future__ import annotations

import asyncio

from litestar import Response, get
from litestar.di import NamedDependency

from api.auth import PUBLIC
from api.services import Services
from runtime import database

ANSWER_SECONDS_MAX = 2.0


@get("/health", operation_id="getHealth", tags=["health"], opt={PUBLIC: True})
async def health(services: NamedDependency[Services]) -> Response[dict[str, str]]:
    """200 when all parts answer, otherwise 503 with the name of the first that does not.

    Without NATS commands are still accepted and kept; runs move again when it is back.
    """
    part = await _silent_part(services)
    if part is None:
        return Response({"status": "healthy"})
    return Response({"status": "unhealthy", "part": part}, status_code=503)


async def _silent_part(services: Services) -> str | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX), services.log.pool.connection() as session:
            await session.execute("SELECT 1")
    except database.LOST:
        return "database"
    if services.client is None or not services.client.is_connected:
        return "nats"
    return None


handlers = [health]
