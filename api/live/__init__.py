"""Live runs over a socket, in the protocol that clients of AutoGPT's platform speak."""

from __future__ import annotations

from api.live.endpoint import handlers

__all__ = ["handlers"]
