"""Keeps children alive, and their logs small: who ends unasked is started again, after a pause
that grows.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog

from domain.limits import process_limits
from runtime import clock
from runtime.embedded.child import Child, StartError

log = structlog.get_logger()


class Supervisor:
    """`register` is kept as a JSON file of `{name: pid}`: who runs at this moment."""

    def __init__(self, register: Path) -> None:
        self._register = register
        self._children: list[Child] = []
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._deaths: Counter[str] = Counter()
        self._obituaries: dict[str, str] = {}

    async def add(self, child: Child) -> None:
        """Start a child and keep it alive. Raises StartError when the first start fails."""
        self._children.append(child)
        await child.start()
        self._note()
        self._keepers[child.name] = asyncio.create_task(self._keep(child), name=child.name)

    async def stop(self, children: Iterable[Child]) -> None:
        """End these children, all at the same time."""
        leaving = list(children)
        await self._dismiss_keepers({child.name for child in leaving})
        await asyncio.gather(*(child.stop() for child in leaving))
        self._children = [child for child in self._children if child not in leaving]
        self._note()

    async def _dismiss_keepers(self, names: set[str]) -> None:
        keepers = [self._keepers.pop(name) for name in names & self._keepers.keys()]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    def hopeless(self) -> str | None:
        """The obituary of a child that has died too often to hope for its next start."""
        for name, deaths in self._deaths.items():
            if deaths >= process_limits.BOOT_DEATHS_MAX:
                return self._obituaries[name]
        return None

    async def _keep(self, child: Child) -> None:
        pause = process_limits.RESTART_SECONDS_MIN
        while True:
            born = clock.monotonic()
            code = await self._end_of(child)
            if clock.monotonic() - born >= process_limits.RESTART_RESET_SECONDS:
                pause = process_limits.RESTART_SECONDS_MIN
            self._deaths[child.name] += 1
            self._obituaries[child.name] = child.obituary()
            self._note()
            log.warning(
                "child.ended", child=child.name, code=code, log=str(child.log), again_in=pause
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, process_limits.RESTART_SECONDS_MAX)
            try:
                await child.start()
            except StartError as error:
                log.error("child.not_started", child=child.name, reason=str(error))
            except Exception:
                # Nobody else looks after this child: the next try may find what is missing now.
                log.exception("child.not_started", child=child.name)
            self._note()

    async def _end_of(self, child: Child) -> int:
        """Wait for the end, and keep the log in its bounds meanwhile. Returns the exit code."""
        ended = asyncio.ensure_future(child.wait())
        try:
            while not ended.done():
                try:
                    await asyncio.to_thread(child.set_log_aside)
                except (OSError, RuntimeError) as error:
                    log.warning("log.not_set_aside", child=child.name, reason=str(error))
                await asyncio.wait({ended}, timeout=process_limits.LOG_LOOK_SECONDS)
            return ended.result()
        finally:
            ended.cancel()

    def _note(self) -> None:
        """Write down who runs, or nothing at all when nobody does any more."""
        alive = {child.name: child.pid for child in self._children if child.pid is not None}
        draft = self._register.with_suffix(".new")
        try:
            if not self._children:
                self._register.unlink(missing_ok=True)
                return
            draft.write_bytes(msgspec.json.encode({"up": os.getpid(), **alive}))
            draft.replace(self._register)
        except OSError as error:
            log.error("register.not_written", reason=str(error))
