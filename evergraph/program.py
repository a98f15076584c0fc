"""One of our own processes, as the child of a supervisor."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from runtime import ids
from runtime.embedded.child import Child
from runtime.parent_watch import ParentWatch


class Program(Child):
    """`evergraph <role>`, tied to this process by a parent_watch.

    It loads its code at once and begins to work at the first `go`, so that loading overlaps with
    the start of the servers that it needs.
    """

    def __init__(self, role: str, name: str, data_dir: Path, environ: Mapping[str, str]) -> None:
        super().__init__(name, data_dir / "logs" / f"{name}.log")
        self._role = role
        self._environ = environ
        self._parent_watch: ParentWatch | None = None
        self._may_go = False
        self._incarnation = ""

    async def start(self) -> None:
        self._cut()
        self._parent_watch = ParentWatch()
        predecessor, self._incarnation = self._incarnation, str(ids.new_id())
        try:
            await self._spawn(
                # -P: a folder named `api` where the person stands is not ours.
                (sys.executable, "-P", "-m", "evergraph", self._role),
                environ={
                    **self._environ,
                    "EVERGRAPH_WORKER_NAME": self.name,
                    "EVERGRAPH_INCARNATION": self._incarnation,
                    "EVERGRAPH_PREDECESSOR": predecessor,
                    "EVERGRAPH_PARENT_FD": str(self._parent_watch.far_end),
                },
                keep=(self._parent_watch.far_end,),
            )
        finally:
            self._parent_watch.hand_over()
        if self._may_go:
            self._parent_watch.go()

    def go(self) -> None:
        """Begin to work, now and after every later start."""
        self._may_go = True
        if self._parent_watch is not None:
            self._parent_watch.go()

    async def stop(self) -> None:
        await super().stop()
        self._cut()

    def _cut(self) -> None:
        if self._parent_watch is not None:
            self._parent_watch.cut()
            self._parent_watch = None
