"""Whether an API has found the servers that it needs."""

from __future__ import annotations

import httpx2

SERVERS = {"database", "nats"}


async def is_served(http: httpx2.AsyncClient) -> bool:
    """Whether it answers, and neither misses the database nor NATS."""
    try:
        body = (await http.get("/health")).json()
    except httpx2.TransportError:
        return False
    return SERVERS.isdisjoint(reason["part"] for reason in body["reasons"])
