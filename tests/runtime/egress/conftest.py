from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from runtime.egress import Egress
from tests.runtime.egress.support import LOOPBACK
from tests.support.http_server import HttpServer, http_server, seen


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with http_server({"/": seen}) as running:
        yield running


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    client = Egress([LOOPBACK])
    yield client
    await client.close()


@pytest.fixture
async def strict() -> AsyncIterator[Egress]:
    client = Egress()
    yield client
    await client.close()
