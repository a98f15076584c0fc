"""Named points where a test may make this process die or hang, exactly there.

`EVERGRAPH_FAILPOINT=append.committed:kill9@3` kills at the third passing; `stop` instead of
`kill9` leaves it hanging until it gets a SIGCONT. Without the setting a point costs one comparison.
"""

from __future__ import annotations

import os
import signal

_name: str | None = None
_left = 0
_signal = signal.SIGKILL

ACTIONS = {"kill9": signal.SIGKILL, "stop": signal.SIGSTOP}

POINTS = frozenset(
    {
        "append.before",
        "append.committed",
        "relay.read",
        "relay.published",
        "project.applied",
        "project.committed",
        "lease.taken",
        "effect.started",
        "effect.done",
        "result.appended",
    }
)


def arm(setting: str | None) -> None:
    """Take the setting `name:action@n`. Raises ValueError for anything else."""
    global _name, _left, _signal  # noqa: PLW0603 - one process, one fault
    if setting is None:
        _name = None
        return
    name, _, rest = setting.partition(":")
    action, _, count = rest.partition("@")
    if name not in POINTS or action not in ACTIONS or not count.isdigit():
        raise ValueError(f"EVERGRAPH_FAILPOINT must be name:kill9@n or name:stop@n: {setting!r}")
    _name, _left, _signal = name, int(count), ACTIONS[action]


def reach(name: str) -> None:
    """Pass the point `name`."""
    global _left  # noqa: PLW0603
    if name != _name:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), _signal)
