from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.blocks.support import RENDERERS


@pytest.fixture(scope="session", autouse=True)
async def _renderers() -> AsyncIterator[None]:
    yield
    await RENDERERS.close()
