"""How fast the runs of one user may write, so that nobody alone fills the log.

Who is ahead of the pace begins nothing until it has caught up; nothing of a run fails for it. The
executors that live share the rate among them: each holds to its part, and asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from runtime import clock

BURST_SECONDS = 2.0
"""So much time's worth of its rate a user may write at once."""
KEPT = 1_024
"""Users of whom is remembered how fast they wrote, beside those who were too fast."""


class WriteRates:
    """The pace of each user in this process."""

    def __init__(self, bytes_per_second: int, sharers: Callable[[], int]) -> None:
        """`sharers` says among how many processes the rate of a user is shared now."""
        self._bytes_per_second = bytes_per_second
        self._sharers = sharers
        self._level_at: dict[str, float] = {}
        """By user: the moment at which all that was written would have been at the rate."""
        self._forget_at = KEPT

    def wrote(self, user_id: str, size: int) -> None:
        """Say that so many bytes were written for a user, who may get ahead by that."""
        seconds = size * self._sharers() / self._bytes_per_second
        earliest = clock.monotonic() - BURST_SECONDS
        self._level_at[user_id] = max(self._level_at.get(user_id, earliest), earliest) + seconds
        if len(self._level_at) > self._forget_at:
            self._level_at = {user: at for user, at in self._level_at.items() if at > earliest}
            self._forget_at = KEPT + len(self._level_at)

    def seconds_ahead(self, user_id: str) -> float:
        """How long to begin nothing for this user."""
        level_at = self._level_at.get(user_id)
        return 0.0 if level_at is None else max(0.0, level_at - clock.monotonic())
