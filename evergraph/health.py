"""Asks an API whether it is ready to serve, or how it is."""

from __future__ import annotations

import asyncio

from domain.limits import installation_limits, process_limits

QUESTION = "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
READY = b"HTTP/1.1 200 "


async def is_ready(host: str, port: int) -> bool:
    """Whether the API takes commands."""
    return (await ask(host, port, "/health/ready")).startswith(READY)


async def ask(host: str, port: int, path: str) -> bytes:
    """The answer with its head; nothing when none comes in time, or one that is too large."""
    try:
        async with asyncio.timeout(process_limits.HEALTH_ANSWER_SECONDS_MAX):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(QUESTION.format(path=path).encode())
                await reader.readexactly(installation_limits.HEALTH_ANSWER_BYTES_MAX)
            except asyncio.IncompleteReadError as whole:
                return whole.partial
            finally:
                writer.close()
    except (OSError, TimeoutError):
        pass
    return b""
