"""The process that renders templates nobody vouches for: `python -m blocks.template_server`.

Each job gets a fork of its own under limits of the operating system, so that a template can only
ever end itself, and nothing that it did is there when the next one comes.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
from typing import NoReturn

import msgspec

from blocks.template_jobs import Answer, Job, framed, read_frame
from blocks.template_sandbox import render
from domain.limits import template_limits

SLOW = Answer(failure=f"the template takes longer than {template_limits.SECONDS_MAX:g} s")
BROKEN = Answer(failure="the template needs too much memory")


def serve() -> None:
    """Answer the jobs on standard input until it ends."""
    while job := read_frame(sys.stdin.buffer):
        sys.stdout.buffer.write(_answered(job))
        sys.stdout.buffer.flush()


def _answered(job: bytes) -> bytes:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _render_and_exit(job, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if status == 0:
        return answer
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGXCPU)
    return framed(SLOW if killed else BROKEN)


def _render_and_exit(job: bytes, writing: int) -> NoReturn:
    status = 1
    try:
        _confine()
        answer = _cut(render(msgspec.json.decode(job, type=Job)))
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(framed(answer))
        status = 0
    finally:
        # Without this the child would go on as a second server.
        os._exit(status)


def _cut(answer: Answer) -> Answer:
    """A failure may quote what the template made, as much as there was room for."""
    if answer.failure is None:
        return answer
    return Answer(failure=answer.failure[: template_limits.FAILURE_CHARS_MAX])


def _confine() -> None:
    os.close(sys.stdin.fileno())
    os.close(sys.stdout.fileno())
    signal.setitimer(signal.ITIMER_REAL, template_limits.LATE_SECONDS_MAX)
    processor_seconds = math.ceil(template_limits.SECONDS_MAX)
    # At the soft limit it is told why it ends, at the hard one it is killed without a word.
    resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds + 1))
    for kind, most in (
        (resource.RLIMIT_AS, template_limits.MEMORY_BYTES_MAX),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    serve()
