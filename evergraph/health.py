"""Asks an API whether it is ready to serve."""

from __future__ import annotations

import asyncio

from domain import limits

QUESTION = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
READY = b"HTTP/1.1 200 "


async def is_ready(host: str, port: int) -> bool:
    """Whether the API takes commands."""
    try:
        async with asyncio.timeout(limits.HEALTH_ANSWER_SECONDS_MAX):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(QUESTION)
                return (await reader.readline()).startswith(READY)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
