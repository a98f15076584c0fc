from __future__ import annotations

import gc

from domain.limits import memory_limits
from runtime import memory


def test_the_collector_is_kept_from_what_was_loaded_and_let_go_again() -> None:
    before = gc.get_threshold()
    with memory.settled():
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] == memory_limits.GARBAGE_OBJECTS
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == before
