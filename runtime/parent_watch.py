"""Ties a child to its supervisor by a pipe: a line that breaks when the supervisor dies.

The kernel closes the supervisor's end however it dies, and on every platform.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Event, Thread

from domain.limits import process_limits

GO = b"."


class ParentWatch:
    """The supervisor's end. The child gets the number `far_end`, and waits for `go`."""

    def __init__(self) -> None:
        self.far_end, self._near_end = os.pipe()

    def hand_over(self) -> None:
        """Forget the child's end, once the child has it."""
        os.close(self.far_end)

    def go(self) -> None:
        """Let the child begin. A child that is already dead does not mind."""
        try:
            os.write(self._near_end, GO)
        except BrokenPipeError:
            return

    def cut(self) -> None:
        os.close(self._near_end)


def hold(far_end: int, on_go: Callable[[], None], on_end: Callable[[], None]) -> None:
    """Watch the supervisor from a thread of its own, so that a busy loop cannot miss its end.

    Whoever has not stopped a few seconds after `on_end` is gone at once.
    """

    def watch() -> None:
        while os.read(far_end, len(GO)):
            on_go()
        on_end()
        Event().wait(process_limits.STOP_SECONDS_MAX)
        os._exit(1)

    os.set_inheritable(far_end, False)  # noqa: FBT003 - it takes no keyword
    Thread(target=watch, name="parent watch", daemon=True).start()
