"""Live runs over a socket, as the seed's protocol has it."""

from __future__ import annotations

from api.live.endpoint import handlers

__all__ = ["handlers"]
