"""Connections to NATS as processes have them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtime.broker import Broker
from runtime.settings import Settings
from tests.support.processes import until


@asynccontextmanager
async def hearing(url: str) -> AsyncIterator[Broker]:
    """One that hears NATS."""
    broker = Broker(Settings(nats_url=url), "test")
    broker.open()
    try:
        await until(lambda: broker.is_heard)
        yield broker
    finally:
        await broker.close()
