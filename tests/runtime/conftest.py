"""What the tests of the runtime have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from runtime import database
from runtime.database import Row


@pytest.fixture
async def application(database_url: str) -> AsyncIterator[AsyncConnection[Row]]:
    """A session as our processes have them."""
    async with await database.connect(database_url, "test") as connection:
        yield connection
