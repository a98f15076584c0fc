from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from blocks.template_jobs import Job
from domain import template_limits
from workers.executor.renderers import Renderers

LOOP = "{% for n in names %}{{ n }};{% endfor %}"


@pytest.fixture
async def renderers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Renderers]:
    """With a single process, so that the order in which they end is that of their turns."""
    monkeypatch.setattr(template_limits, "PROCESSES_MAX", 1)
    renderers = Renderers()
    yield renderers
    await renderers.close()


async def test_the_backlog_of_one_user_delays_another_by_one_template(renderers: Renderers) -> None:
    ended: list[str] = []

    async def render(user_id: str) -> None:
        assert await renderers.of(user_id).render(Job(LOOP, {"names": [1]}, False)) == "1;"
        ended.append(user_id)

    await asyncio.gather(*(render(user_id) for user_id in [*["many"] * 20, "single"]))
    assert ended.index("single") == 1
