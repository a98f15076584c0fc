"""Installations that a file of tests shares, and one that a test has for itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.scene import Scene, scene
from tests.support import plugin_blocks
from tests.support.plugin import plugin_path, write_plugin


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


@pytest.fixture
async def crowded(tmp_path: Path) -> AsyncIterator[Scene]:
    """Everything with two executors, for one test alone: it all dies."""
    async with scene(tmp_path, EVERGRAPH_EXECUTORS="2") as one:
        yield one


@pytest.fixture(scope="module")
async def plugged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Everything supervised, with one executor that knows blocks which do it harm."""
    plugins = tmp_path_factory.mktemp("plugins")
    write_plugin(plugins, [plugin_blocks.__name__])
    data_dir = tmp_path_factory.mktemp("plugged")
    async with scene(data_dir, PYTHONPATH=plugin_path(plugins)) as one:
        yield one
