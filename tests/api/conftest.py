from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from runtime.embedded.postgres import PostgresServer
from tests.support.api import Caller, Platform, platform
from tests.support.installation import installation, user
from tests.support.live import running
from workers import projector

__all__ = ["installation", "user"]


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def still(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """An installation whose runs nobody drives but the tests; its lists are kept up to date."""
    folder = tmp_path_factory.mktemp("still")
    async with (
        platform(postgres, folder, workers=False) as served,
        running(projector.serve(served.settings)),
    ):
        yield served


@pytest.fixture
async def author(still: Platform) -> Caller:
    """Somebody who has registered there."""
    return await still.user()
