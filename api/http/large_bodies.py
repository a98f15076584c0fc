"""Requests with large bodies, of which a process receives some and works on few at once: users take
turns.
"""

from __future__ import annotations

import asyncio

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import Unavailable
from domain.limits import memory_limits, request_limits
from projections.runs.permits import Permit
from runtime import clock
from runtime.backlog import Backlog
from runtime.fair_queue import FairQueue

BODIES = "large_bodies"
BODY = "body"
COMING = "large_body_of"
PERMIT = "large_body"
BEGAN = "large_body_began"
FULL = "Too many large bodies are on their way at this moment."


class LargeBodies(ASGIMiddleware):
    """Ends the turn of a request, and forgets its body, when its answer begins: neither is needed
    then, and the peer may read as slowly as it likes.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, answers: Backlog) -> None:
        self.coming = FairQueue(
            memory_limits.LARGE_BODIES_COMING, memory_limits.LARGE_BODIES_COMING_PER_USER
        )
        self._crowd = FairQueue(
            memory_limits.LARGE_BODIES_AT_ONCE, memory_limits.LARGE_BODIES_AT_ONCE_PER_USER
        )
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

    def permit(self, user_id: str) -> Permit:
        return Permit(self._crowd, self._answers.share(user_id), request_limits.GRAPH_BYTES_MAX)


async def come(scope: Scope, user_id: str) -> None:
    """Wait for room for a body that has proved to be large.

    Raises Unavailable after ROOM_SECONDS_MAX: who has some may be slow.
    """
    if COMING in scope["state"]:
        return
    bodies: LargeBodies = scope["state"][BODIES]
    try:
        async with asyncio.timeout(memory_limits.ROOM_SECONDS_MAX):
            await bodies.coming.enter(user_id)
    except TimeoutError:
        raise Unavailable(FULL) from None
    scope["state"][COMING] = user_id


async def permit(scope: Scope, user_id: str) -> None:
    """Wait for the turn of a request whose body has arrived. Raises Unavailable."""
    bodies: LargeBodies = scope["state"][BODIES]
    taken: Permit = scope["state"].setdefault(PERMIT, bodies.permit(user_id))
    await taken.take()
    scope["state"][BEGAN] = clock.monotonic()


def _end(scope: Scope) -> None:
    """The place of one that was worked on stays empty for as long as that took: meanwhile nothing
    of this user keeps others, whose requests take many short moments, from any of these.
    """
    scope["state"].pop(BODY, None)
    user_id: str | None = scope["state"].pop(COMING, None)
    if user_id is not None:
        scope["state"][BODIES].coming.leave(user_id)
    taken: Permit | None = scope["state"].pop(PERMIT, None)
    began: float | None = scope["state"].pop(BEGAN, None)
    if taken is not None:
        worked = 0.0 if began is None else clock.monotonic() - began
        taken.give_back(rest=min(worked, memory_limits.LARGE_BODY_REST_SECONDS_MAX))
