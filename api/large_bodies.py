"""Requests with large bodies, of which a process works on few at once: users take turns."""

from __future__ import annotations

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from domain import limits
from projections.turns import Turn
from runtime.backlog import Backlog
from runtime.fairness import FairQueue

BODIES = "large_bodies"
BODY = "body"
TURN = "large_body"


class LargeBodies(ASGIMiddleware):
    """Ends the turn of a request, and forgets its body, when its answer begins: neither is needed
    then, and the peer may read as slowly as it likes.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, places: int, answers: Backlog) -> None:
        self._crowd = FairQueue(places)
        self._answers = answers

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        scope["state"][BODIES] = self

        async def answering(message: Message) -> None:
            _end(scope)
            await send(message)

        try:
            await next_app(scope, receive, answering)
        finally:
            _end(scope)

    def turn(self, user_id: str) -> Turn:
        return Turn(self._crowd, self._answers.share(user_id), limits.GRAPH_BYTES_MAX)


async def turn(scope: Scope, user_id: str) -> None:
    """Wait for the turn of a request whose body has arrived. Raises Unavailable."""
    bodies: LargeBodies = scope["state"][BODIES]
    taken: Turn = scope["state"].setdefault(TURN, bodies.turn(user_id))
    await taken.take()


def _end(scope: Scope) -> None:
    scope["state"].pop(BODY, None)
    taken: Turn | None = scope["state"].pop(TURN, None)
    if taken is not None:
        taken.give_back()
