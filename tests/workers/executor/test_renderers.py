from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from blocks.template_jobs import Job
from blocks.templates import TemplateFailure
from domain.limits import template_limits
from workers.executor.renderers import Renderers

ROWS = list(range(20_000))
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


async def test_what_a_failure_quotes_is_cut_before_it_is_sent(renderers: Renderers) -> None:
    long = Job("{% for _ in [1] %}{{ d['a' * 10000000] }}{% endfor %}", {"d": {}}, False)
    with pytest.raises(TemplateFailure) as failure:
        await renderers.of("somebody").render(long)
    assert len(str(failure.value)) == template_limits.FAILURE_CHARS_MAX


async def test_a_user_leaves_a_process_to_others() -> None:
    """Long templates of one do not hold up another, who has not even to wait for the end of one."""
    assert template_limits.PROCESSES_MAX > template_limits.PROCESSES_PER_USER
    renderers = Renderers()
    endless = Job("{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}", {"r": ROWS}, False)
    many = [asyncio.create_task(renderers.of("many").render(endless)) for _ in range(4)]
    await asyncio.sleep(0)
    assert await renderers.of("single").render(Job(LOOP, {"names": [1]}, False)) == "1;"
    assert sum(task.done() for task in many) <= template_limits.PROCESSES_PER_USER
    await asyncio.gather(*many, return_exceptions=True)
    await renderers.close()


async def test_a_template_that_takes_too_long_is_told_so(renderers: Renderers) -> None:
    """Not that it lacks memory, which is what a process says that is killed without a word."""
    endless = Job("{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}", {"r": ROWS}, False)
    with pytest.raises(TemplateFailure, match="takes longer than 1 s"):
        await renderers.of("somebody").render(endless)
