from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.effects import Effects, effects
from tests.support.installation import Installation, real_installation, user

__all__ = ["installation", "service", "user"]


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """One for all cases: it costs seconds to start."""
    data_dir, plugins = tmp_path_factory.mktemp("conformance"), tmp_path_factory.mktemp("plugins")
    async with real_installation(data_dir, plugins) as running:
        yield running


@pytest.fixture
def shared_dir() -> Iterator[Path]:
    """A folder in which blocks can write, whatever user they run as."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@pytest.fixture
async def service() -> AsyncIterator[Effects]:
    """What happens outside, seen from outside."""
    async with effects() as one:
        yield one
