"""From a request to a command's context, and from a command's answer to a response."""

from __future__ import annotations

import hashlib
import re
from typing import Any, TypeVar

from litestar import Request, Response
from litestar.exceptions import ValidationException

from api.http.auth import Principal
from api.services import Services
from domain.limits import request_limits
from runtime import ids
from runtime.aggregates.command_context import CommandContext, Idempotency
from runtime.aggregates.repository import Done

POSITION = "Evergraph-Position"
"""Answer header of a command: where its last event stands in the log."""
AT_LEAST = "At-Least"
"""Request header of a list: wait until it shows this position."""
IDEMPOTENCY_KEY = "Idempotency-Key"

POSITION_TEXT = re.compile(r"[0-9]{1,19}")

T = TypeVar("T")

AnyRequest = Request[Principal, Any, Any]


async def context_of(request: AnyRequest) -> CommandContext:
    """On whose behalf this request acts. Raises ValidationException for a bad key."""
    user_id = request.user.user_id
    return CommandContext(
        owner=user_id,
        actor=user_id,
        correlation=ids.new_id(),
        idempotency=await _idempotency(request),
    )


async def _idempotency(request: AnyRequest) -> Idempotency | None:
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not 0 < len(key) <= request_limits.IDEMPOTENCY_KEY_CHARS_MAX or not key.isprintable():
        raise ValidationException(
            f"Idempotency-Key must have 1 to {request_limits.IDEMPOTENCY_KEY_CHARS_MAX} printable"
            " characters"
        )
    what = f"{request.method} {request.url.path}?{request.url.query}\n"
    digest = hashlib.sha256(what.encode() + await request.body())
    return Idempotency(key=key, request_hash=digest.digest())


def answer(services: Services, context: CommandContext, done: Done[Any], content: T) -> Response[T]:
    """A command's answer, with its position; lists of this user will show it."""
    services.note(context.owner, done)
    headers = {} if done.position is None else {POSITION: str(done.position)}
    return Response(content, headers=headers, status_code=200)


async def catch_up(services: Services, request: AnyRequest) -> None:
    """Let a list wait for what its user wrote before. Raises ValidationException."""
    text = request.headers.get(AT_LEAST)
    if text is not None and not POSITION_TEXT.fullmatch(text):
        raise ValidationException("At-Least must be a position, a whole number")
    await services.catch_up(request.user.user_id, None if text is None else int(text))
