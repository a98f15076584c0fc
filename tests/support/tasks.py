"""What all tasks of this process wait for, to be printed where a test has waited in vain."""

from __future__ import annotations

import asyncio
from types import CodeType, FrameType
from typing import Any


def waiting() -> str:
    """A line for each task of the running loop: its name, and where it and all it awaits stand."""
    tasks = sorted(asyncio.all_tasks(), key=asyncio.Task.get_name)
    return "\n".join(f"{task.get_name()}: {' > '.join(_places(task.get_coro()))}" for task in tasks)


def _places(awaited: Any) -> list[str]:
    places = []
    while (frame := _attribute(awaited, "frame")) is not None:
        assert isinstance(frame, FrameType)
        code: CodeType = frame.f_code
        places.append(f"{code.co_qualname}:{frame.f_lineno}")
        awaited = _attribute(awaited, "await") or _attribute(awaited, "yieldfrom")
    return places


def _attribute(awaited: Any, name: str) -> Any:
    """What coroutines, generators and asynchronous generators each call by another name."""
    return next(
        (
            getattr(awaited, f"{kind}_{name}")
            for kind in ("cr", "gi", "ag")
            if hasattr(awaited, f"{kind}_{name}")
        ),
        None,
    )
