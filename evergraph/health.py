"""Asks an API whether it is ready to serve."""

from __future__ import annotations

import asyncio

from domain import limits

READY = b"HTTP/1.1 200 "


async def is_healthy(host: str, port: int) -> bool:
    """Whether GET /health answers 200."""
    try:
        async with asyncio.timeout(limits.HEALTH_ANSWER_SECONDS_MAX):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(
                    b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                return (await reader.readline()).startswith(READY)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
