"""How much memory a process may have, and how often Python looks for cycles in it."""

from __future__ import annotations

import ctypes
import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from domain.limits import memory_limits

M_MMAP_THRESHOLD = -3
"""As <malloc.h> has it."""


def bound(size: int) -> None:
    """Let this process have no more address space, so that what wants too much is refused, and not
    the whole machine brought down.
    """
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or most > size:
        resource.setrlimit(resource.RLIMIT_AS, (size, most))


def _give_large_blocks_back() -> None:
    """Let large blocks go back to the system as soon as they are free.

    glibc would put ever larger ones among the small ones, where they leave holes that the process
    keeps: hundreds of megabytes after a few dozen values of four.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, memory_limits.LARGE_BLOCK_BYTES)


@contextmanager
def settled() -> Iterator[None]:
    """Keep the collector of cycles away from what was loaded, and from most of the work.

    What was loaded stays until the end, and a request or a run leaves hardly a cycle behind; to
    walk through all of it again and again stops everything for tens of milliseconds, for nothing.
    """
    _give_large_blocks_back()
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(memory_limits.GARBAGE_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
