"""What several tests of the runtime need."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from runtime.database import Row


@pytest.fixture
async def superuser(database_url: str) -> AsyncIterator[AsyncConnection[Row]]:
    """A connection to the test's database that may do everything."""
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        yield connection
