"""The processes that render what users' templates cannot be trusted with on the spot."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import NamedTuple

import msgspec

from blocks.template_jobs import LENGTH_BYTES, Answer, Job, framed
from blocks.templates import TemplateFailure, text_of
from domain.limits import template_limits
from runtime.fair_queue import FairQueue

ROOT = Path(__file__).parents[2]


class Renderers:
    """At most PROCESSES_MAX processes, each with one job at a time; users take turns.

    They are started when first needed and kept; `close` ends them, and may be followed by more.
    """

    def __init__(self) -> None:
        self._idle: list[Process] = []
        self._queue = FairQueue(template_limits.PROCESSES_MAX, template_limits.PROCESSES_PER_USER)

    def of(self, user_id: str) -> UserRenderers:
        """What the blocks of this user's runs render with."""
        return UserRenderers(self, user_id)

    async def render(self, user_id: str, job: Job) -> str:
        """See blocks.contract.Templates."""
        async with self._queue.place(user_id):
            return text_of(await self._rendered(job))

    async def close(self) -> None:
        """End the processes."""
        while self._idle:
            await _end(self._idle.pop())

    async def _rendered(self, job: Job) -> Answer:
        while self._idle:
            try:
                return await self._exchange(self._idle.pop(), job)
            except (ConnectionError, asyncio.IncompleteReadError):
                continue  # it died while nobody was looking
        try:
            return await self._exchange(await _start(), job)
        except (ConnectionError, asyncio.IncompleteReadError):
            raise TemplateFailure("the process that renders templates died") from None

    async def _exchange(self, process: Process, job: Job) -> Answer:
        try:
            async with asyncio.timeout(template_limits.ANSWER_SECONDS_MAX):
                answer = await _asked(process, job)
        except TimeoutError:
            await _end(process)
            raise TemplateFailure("the process that renders templates does not answer") from None
        except BaseException:
            await _end(process)
            raise
        self._idle.append(process)
        return answer


class UserRenderers(NamedTuple):
    """The processes as one user has them."""

    renderers: Renderers
    user_id: str

    async def render(self, job: Job) -> str:
        """See blocks.contract.Templates."""
        return await self.renderers.render(self.user_id, job)


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
    size = int.from_bytes(length, "big")
    if size > template_limits.ANSWER_BYTES_MAX:
        raise ConnectionError(f"an answer of {size} bytes is none of ours")
    content = await process.stdout.readexactly(size)
    return msgspec.json.decode(content, type=Answer)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
