"""All that is looked at, in order, and how it is told."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import AsyncIterator
from importlib.metadata import version

from evergraph import console
from evergraph.doctor import data_folder, database, nats, port
from evergraph.doctor.finding import Finding, State, error, ok
from runtime import logs
from runtime.embedded import folder
from runtime.settings import Settings

WIDTH = max(map(len, State)) + 1


async def tell(settings: Settings) -> bool:
    """Say what is found as soon as it is, and return whether it is free of errors."""
    told = Counter[State]()
    async for finding in _examine(settings):
        told[finding.state] += 1
        console.say(f"{finding.state:{WIDTH}} {logs.shown(f'{finding.part}: {finding.text}')}")
        if finding.advice:
            console.say(f"{'':{WIDTH}} {logs.shown(finding.advice)}")
    console.say(
        f"\n{_count(told[State.ERROR], 'error')}, {_count(told[State.WARNING], 'warning')}."
    )
    return not told[State.ERROR]


async def _examine(settings: Settings) -> AsyncIterator[Finding]:
    yield ok("evergraph", f"{version('evergraph')} on Python {platform.python_version()}")
    for finding in data_folder.examine(settings.data_dir):
        yield finding
    try:
        is_up = folder.is_held(settings.data_dir)
    except OSError as refusal:
        lock = settings.data_dir / folder.LOCK
        text = f"{lock} cannot be opened: {refusal.strerror}"
        yield error("evergraph up", text, "Run evergraph as the user who started it.")
        return
    yield ok("evergraph up", f"{'runs' if is_up else 'does not run'} in the data folder")
    yield await port.examine(settings, is_up=is_up)
    async for finding in database.examine(settings, is_up=is_up):
        yield finding
    async for finding in nats.examine(settings, is_up=is_up):
        yield finding


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
