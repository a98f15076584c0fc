"""How often Python looks for cycles in what a process has made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from domain import limits


@contextmanager
def settled() -> Iterator[None]:
    """Keep the collector of cycles away from what was loaded, and from most of the work.

    What was loaded stays until the end, and a request or a run leaves hardly a cycle behind; to
    walk through all of it again and again stops everything for tens of milliseconds, for nothing.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(limits.GARBAGE_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
