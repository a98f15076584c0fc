"""Fixtures of the test packages that call the API: one installation for all of a package's tests.

Tests do not meet: each is a user of its own, who waits for the end of its runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from runtime.embedded.postgres import PostgresServer
from tests.support.api import Caller, Platform, platform


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def installation(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    async with platform(postgres, tmp_path_factory.mktemp("installation")) as running:
        yield running


@pytest.fixture
async def user(installation: Platform) -> Caller:
    """Somebody who has registered, and so has credits."""
    return await installation.user()
