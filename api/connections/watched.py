"""A connection that somebody looks at now and then."""

from __future__ import annotations

import asyncio
from math import inf

from api.connections.places import Place
from domain.limits import connection_limits


class Watched:
    """What HTTP and sockets have in common: both end, and a peer may not let them."""

    transport: asyncio.Transport
    place: Place | None = None
    is_draining = False
    """The peer is taking what was sent."""
    _ends_at = inf

    def look(self, now: float) -> None:
        """Due now and then."""
        if not self.transport.is_closing():
            self.check(now)
        elif self._ends_at == inf:
            self._ends_at = now + connection_limits.HANGUP_SECONDS_MAX
            if self.place is not None:
                self.place.wait()
        elif now >= self._ends_at and not self.is_draining:
            self.transport.abort()

    def check(self, now: float) -> None:
        """End it if it is open for nothing."""
        raise NotImplementedError

    def settle(self) -> bool:
        """Nothing has changed."""
        return False

    def end(self) -> None:
        self.transport.abort()

    def leave(self) -> None:
        """Its place is free."""
        if self.place is not None:
            self.place.leave()
