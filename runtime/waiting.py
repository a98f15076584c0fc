"""Nobody waits in silence: whatever takes long says what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog

from domain.limits import process_limits
from runtime import clock

log = structlog.get_logger()


@asynccontextmanager
async def said(until: str, details: Callable[[], Mapping[str, Any]] = dict) -> AsyncIterator[None]:
    """While the block takes long, log `until` what it waits, at first soon and then now and then.

    `details` is called in a thread each time, and says how things stand.
    """
    herald = asyncio.create_task(_say(until, details), name=f"waits until {until}")
    try:
        yield
    finally:
        herald.cancel()
        await asyncio.wait({herald})


async def _say(until: str, details: Callable[[], Mapping[str, Any]]) -> None:
    began = clock.monotonic()
    pause = process_limits.WAIT_SILENT_SECONDS
    while True:
        await asyncio.sleep(pause)
        known = await asyncio.to_thread(details)
        log.info("start.waits", until=until, seconds=round(clock.monotonic() - began), **known)
        pause = process_limits.WAIT_SAID_SECONDS
