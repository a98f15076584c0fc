from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from blocks import templates


@pytest.fixture(scope="session", autouse=True)
async def _renderers() -> AsyncIterator[None]:
    yield
    await templates.close()
