"""Rendering the templates of users: on the spot when nothing can go wrong, else at arm's length.

The processes for the second kind are started when first needed and kept; `close` ends them.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import msgspec

from blocks.contract import BlockFailure
from blocks.template_jobs import LENGTH_BYTES, Answer, Job, framed
from domain import limits

__all__ = ["Job", "TemplateFailure", "close", "render_apart", "render_now"]

ROOT = Path(__file__).parents[1]


class TemplateFailure(BlockFailure):
    """A template that makes no text, with the reason."""


def render_now(job: Job) -> str | None:
    """The text, or None for a template that only `render_apart` can be trusted with.

    Raises TemplateFailure for a wrong template, a missing value, and one that exceeds
    TEMPLATE_CHARS_MAX or, in what it makes, TEMPLATE_OUTPUT_CHARS_MAX.
    """
    if len(job.source) > limits.TEMPLATE_CHARS_MAX:
        raise TemplateFailure(f"the template has more than {limits.TEMPLATE_CHARS_MAX} characters")
    # Jinja2 is slow to import, and most processes that know the blocks never render.
    from blocks.template_sandbox import render_straight  # noqa: PLC0415 - see above

    answer = render_straight(job)
    return None if answer is None else _text(answer)


async def render_apart(job: Job) -> str:
    """The text of a template for which `render_now` gives None.

    Raises TemplateFailure as that does, and for one that exceeds TEMPLATE_SECONDS_MAX or
    TEMPLATE_MEMORY_BYTES_MAX.
    """
    return _text(await _renderers.render(job))


async def close() -> None:
    """End the processes; a later rendering starts new ones."""
    await _renderers.close()


def _text(answer: Answer) -> str:
    if answer.failure is not None:
        raise TemplateFailure(answer.failure[: limits.ERROR_CHARS_MAX])
    return answer.text


class _Renderers:
    """At most TEMPLATE_PROCESSES_MAX processes, each with one job at a time."""

    def __init__(self) -> None:
        self._idle: list[Process] = []
        self._slots = asyncio.Semaphore(limits.TEMPLATE_PROCESSES_MAX)

    async def render(self, job: Job) -> Answer:
        async with self._slots:
            while self._idle:
                try:
                    return await self._exchange(self._idle.pop(), job)
                except (ConnectionError, asyncio.IncompleteReadError):
                    continue  # it died while nobody was looking
            try:
                return await self._exchange(await _start(), job)
            except (ConnectionError, asyncio.IncompleteReadError):
                raise TemplateFailure("the process that renders templates died") from None

    async def close(self) -> None:
        while self._idle:
            await _end(self._idle.pop())

    async def _exchange(self, process: Process, job: Job) -> Answer:
        try:
            async with asyncio.timeout(limits.TEMPLATE_ANSWER_SECONDS_MAX):
                answer = await _asked(process, job)
        except TimeoutError:
            await _end(process)
            raise TemplateFailure("the process that renders templates does not answer") from None
        except BaseException:
            await _end(process)
            raise
        self._idle.append(process)
        return answer


_renderers = _Renderers()


async def _start() -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "blocks.template_server",
        stdin=PIPE,
        stdout=PIPE,
        # Nothing else of the environment: it may hold secrets.
        env={"PYTHONPATH": str(ROOT)},
        # An interrupt at the terminal is for us; the end of its input is for the process.
        start_new_session=True,
    )


async def _asked(process: Process, job: Job) -> Answer:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(framed(job))
    await process.stdin.drain()
    length = await process.stdout.readexactly(LENGTH_BYTES)
    content = await process.stdout.readexactly(int.from_bytes(length, "big"))
    return msgspec.json.decode(content, type=Answer)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
