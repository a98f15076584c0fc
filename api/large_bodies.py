"""Requests with large bodies, of which a process works on few at once: users take turns."""

from __future__ import annotations

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from projections.turns import Turn
from runtime.fairness import FairQueue

CROWD = "large_bodies"
BODY = "body"
TURN = "large_body"


class LargeBodies(ASGIMiddleware):
    """Ends the turn of a request, and forgets its body, when its answer begins: neither is needed
    then, and the peer may read as slowly as it likes.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, places: int) -> None:
        self._crowd = FairQueue(places)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        scope["state"][CROWD] = self._crowd

        async def answering(message: Message) -> None:
            _end(scope)
            await send(message)

        try:
            await next_app(scope, receive, answering)
        finally:
            _end(scope)


async def turn(scope: Scope, user_id: str) -> None:
    """Wait for the turn of a request whose body has arrived."""
    taken: Turn = scope["state"].setdefault(TURN, Turn(scope["state"][CROWD], user_id))
    await taken.take()


def _end(scope: Scope) -> None:
    scope["state"].pop(BODY, None)
    taken: Turn | None = scope["state"].pop(TURN, None)
    if taken is not None:
        taken.give_back()
