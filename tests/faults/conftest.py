"""Two installations for each file of tests: one that looks after itself, one without executors."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.scene import Scene, scene


@pytest.fixture(scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Everything supervised, with two executors."""
    data_dir = tmp_path_factory.mktemp("whole")
    async with scene(data_dir, EVERGRAPH_EXECUTORS="2") as one:
        yield one


@pytest.fixture(scope="module")
async def bare(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Everything but executors, which the tests start themselves."""
    data_dir = tmp_path_factory.mktemp("bare")
    async with scene(data_dir, EVERGRAPH_EXECUTORS="0") as one:
        yield one
