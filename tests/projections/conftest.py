"""A connection of the kind that a runner has."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from runtime import database
from runtime.database import Row


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection[Row]]:
    async with await database.connect(database_url, "test projector") as connection:
        yield connection
