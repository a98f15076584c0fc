"""What streams fold to."""

from __future__ import annotations

import msgspec

STATE_BYTES = 2_000


class State(msgspec.Struct, frozen=True):
    """Base of the folded states that are kept in memory between commands."""

    @property
    def weight(self) -> int:
        """About how many bytes it takes; of most states they are few, and always the same."""
        return STATE_BYTES
