from __future__ import annotations

import asyncio
import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blocks.templates import Job, TemplateFailure, render_now
from domain.limits import template_limits
from tests.blocks.support import RENDERERS

LOOP = "{% for n in names %}{{ n }};{% endfor %}"


async def render(source: str, values: dict[str, Any], *, escape_html: bool = False) -> str:
    job = Job(source, values, escape_html)
    text = render_now(job)
    return await RENDERERS.render("somebody", job) if text is None else text


def helpers() -> list[int]:
    return [process.pid for process in RENDERERS._idle]


def environment_of(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
    return [line.partition("=")[0] for line in lines]


@pytest.mark.parametrize(
    ("source", "values", "text"),
    [
        ("", {}, ""),
        ("plain { text }", {}, "plain { text }"),
        ("{{ a }}", {"a": None}, "None"),
        ("{{ a.b[0]['c d'] }}", {"a": {"b": [{"c d": True}]}}, "True"),
        ("{{ a[k] }}", {"a": {"x": 1}, "k": "x"}, "1"),
        ("{{ a|upper|trim }}", {"a": " x "}, "X"),
        ("{{ a|default('none') }}", {}, "none"),
        ("{# nothing #}{% raw %}{{ a }}{% endraw %}", {}, "{{ a }}"),
        ("{{ 'gr\u00fcn' }}", {}, "gr\u00fcn"),
    ],
)
async def test_a_straight_template_is_rendered_on_the_spot(
    source: str, values: dict[str, Any], text: str
) -> None:
    job = Job(source, values, escape_html=False)
    assert render_now(job) == text == await RENDERERS.render("somebody", job)


@pytest.mark.parametrize(
    ("source", "values", "text"),
    [
        (LOOP, {"names": ["a", "b"]}, "a;b;"),
        ("{% if a %}yes{% else %}no{% endif %}", {"a": []}, "no"),
        ("{{ a + 1 }} {{ 'x' * 3 }} {{ a > 1 }}", {"a": 1}, "2 xxx False"),
        ("{{ a.upper() }} {{ a.title() }}", {"a": "ab"}, "AB Ab"),
        ("{{ a|join(', ') }}", {"a": [1, 2]}, "1, 2"),
        ("{{ a|tojson }}", {"a": {"b": None}}, '{"b": null}'),
        ("{% for k, v in a.items() %}{{ k }}={{ v }}{% endfor %}", {"a": {"k": 1}}, "k=1"),
        ("{% for i in range(3) %}{{ loop.index }}{% endfor %}", {}, "123"),
        ("{% set n = namespace(x=1) %}{% set n.x = 2 %}{{ n.x }}", {}, "2"),
        ("{{ a }}", {"a": "x" * 500_000}, "x" * 500_000),
        ("{{ a }}," * 500, {"a": 1}, "1," * 500),
    ],
)
async def test_any_other_template_is_rendered_apart(
    source: str, values: dict[str, Any], text: str
) -> None:
    job = Job(source, values, escape_html=False)
    assert render_now(job) is None
    assert await RENDERERS.render("somebody", job) == text


async def test_html_is_escaped_on_demand_on_the_spot_and_apart() -> None:
    for source, text in (("{{ a }}", "&lt;&#39;"), ("{{ a[0:1] }}", "&lt;")):
        assert await render(source, {"a": "<'"}, escape_html=True) == text
        assert (await render(source, {"a": "<'"}))[0] == "<"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ a.b.c }}", "has no attribute 'b'"),
        ("{{ missing }}", "'missing' is undefined"),
        ("{% if missing %}{% endif %}", "'missing' is undefined"),
        ("one\n{{ a", "line 2: "),
        ("{% for %}", "line 1: "),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{{ a|nothing }}", "No filter named 'nothing'"),
        ("{% include 'other' %}", "no loader"),
        ("x" * (template_limits.CHARS_MAX + 1), "more than 20000 characters"),
    ],
)
async def test_a_failure_says_what_is_wrong(source: str, message: str) -> None:
    with pytest.raises(TemplateFailure, match=message):
        await render(source, {"a": 1})


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ [''|attr('__cl' ~ 'ass__')]|first }}",
        "{{ ['']|map(attribute='__class__')|join }}",
        "{{ ['']|groupby('__class__')|map(attribute='grouper')|join }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ '{0.__class__}'.format('') }}",
        "{{ '{a.__class__}'.format_map({'a': ''}) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ joiner }}{{ lipsum }}{{ dict }}",
        "{{ self.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ range.__self__ }}",
        "{{ namespace.__init__ }}",
        "{{ a.append(1) }}",
        "{{ a.append }}",
        "{{ [1]|map('string') }}",
        "{{ [1, 2]|random }}",
        "{% set loop = a.__class__ %}{{ loop }}",
    ],
)
@pytest.mark.holds("S28")
async def test_nothing_but_the_values_is_in_reach(source: str) -> None:
    values = {"a": [1]}
    with pytest.raises(TemplateFailure):
        await render(source, values)
    assert values == {"a": [1]}


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 'a' * 10**9 * 10**9 }}",
        "{{ range(10**9)|list }}",
        "{{ 10 ** (10 ** 8) }}",
        "{{ '%999999999s' % 1 }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ 'a'.center(999999999) }}",
        "{{ a|replace('', a)|replace('', a)|replace('', a) }}",
        "{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}",
        "{% for x in range(99999) %}{{ a }}{% endfor %}",
        "{% set n = namespace(x=a) %}{% for i in a %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ " + "(" * 9_000 + "1" + ")" * 9_000 + " }}",
        "{{ a" + ".b" * 9_000 + " }}",
        "{{ a" + "|e" * 9_000 + " }}",
        "{% if a %}" * 1_500,
        "{{ [" * 3_000,
        "{{" * 10_000,
        "{" * 20_000,
    ],
)
@pytest.mark.holds("S28")
async def test_no_template_takes_more_time_or_memory_than_it_may(source: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TemplateFailure):
        await render(source, {"a": "x" * 1000})
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, "kilobytes"
    assert await render(LOOP, {"names": ["still", "there"]}) == "still;there;"


async def test_the_text_is_bounded() -> None:
    with pytest.raises(TemplateFailure, match="characters come out"):
        await render("{{ a }}" * 50, {"a": "x" * 30_000})


async def test_what_is_not_unicode_does_not_come_out() -> None:
    for source in ("{{ '\\ud800' }}", "{{ '\\ud800' ~ '' }}"):
        with pytest.raises(TemplateFailure, match="not Unicode"):
            await render(source, {})


async def test_many_at_once_share_a_few_processes() -> None:
    texts = await asyncio.gather(*(render(LOOP, {"names": [n]}) for n in range(20)))
    assert texts == [f"{n};" for n in range(20)]
    assert 1 <= len(helpers()) <= template_limits.PROCESSES_MAX


@pytest.mark.holds("S28")
async def test_a_process_knows_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    await RENDERERS.close()
    monkeypatch.setenv("JWT_VERIFY_KEY", "a-secret-that-nobody-else-may-know")
    await render(LOOP, {"names": []})
    (pid,) = helpers()
    assert environment_of(pid) == ["PYTHONPATH"]


async def test_processes_that_died_are_replaced() -> None:
    await render(LOOP, {"names": []})
    killed = helpers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert await render(LOOP, {"names": [1]}) == "1;"
    assert not set(killed) & set(helpers())


async def test_a_cancelled_rendering_leaves_nothing_behind() -> None:
    await RENDERERS.close()
    endless = "{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}"
    task = asyncio.create_task(render(endless, {}))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 0.3)
    assert helpers() == []
    assert await render(LOOP, {"names": [1]}) == "1;"


def test_a_process_ends_with_the_one_that_started_it() -> None:
    program = (
        "import asyncio\n"
        "from blocks.template_jobs import Job\n"
        "from workers.executor.renderers import Renderers\n"
        "async def main():\n"
        "    renderers = Renderers()\n"
        f"    await renderers.render('somebody', Job({LOOP!r}, {{'names': []}}, False))\n"
        "    print(renderers._idle[0].pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        helper = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        ended, _, _ = select.select([helper], [], [], 10)
        assert ended
    finally:
        os.close(helper)
