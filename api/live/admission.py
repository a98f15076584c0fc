"""Who may open a socket, and for how long."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import WebSocket
from litestar.status_codes import WS_1008_POLICY_VIOLATION

from api.http import auth
from api.http.auth import Proof
from api.services import Services
from domain.limits import request_limits
from runtime import clock

TOKEN_EXPIRED = 4401
FOREIGN_ORIGIN = 4403
REASON_BYTES_MAX = 123
"""What a close frame has room for."""

Socket = WebSocket[Any, Any, Any]


class Goodbye(Exception):
    """The conversation ends with a close of ours."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")


def admit(socket: Socket, services: Services, user_id: str) -> Proof:
    """What proves that this user opens the socket, from a page that may. Raises Goodbye."""
    _check_origin(socket, services.settings.allowed_origins)
    token: str = socket.query_params.get("token", "")
    try:
        proof = services.verifier.prove(token)
    except auth.TokenRefused as refusal:
        reason = str(refusal) if token else "Token is missing"
        raise Goodbye(WS_1008_POLICY_VIOLATION, reason) from None
    if proof.principal.user_id != user_id:
        raise Goodbye(WS_1008_POLICY_VIOLATION, "Invalid user ID")
    return proof


async def until_expired(proof: Proof) -> None:
    """Raises Goodbye when requests with this token would be refused too."""
    # The wall clock may be set, so it is asked now and then.
    while (left := proof.expires - clock.now().timestamp()) > 0:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(min(left, request_limits.TOKEN_LOOK_SECONDS))
    raise Goodbye(TOKEN_EXPIRED, "Token has expired")


def _check_origin(socket: Socket, allowed: tuple[str, ...]) -> None:
    """Browsers name the origin of the page, and nobody else needs to. Raises Goodbye."""
    host = socket.headers.get("host", "").lower()
    # Whether TLS ends here or at a proxy, the page's own host is the one that it calls.
    welcome = {f"http://{host}", f"https://{host}", *allowed}
    if not welcome.issuperset(socket.headers.getall("origin", [])):
        raise Goodbye(FOREIGN_ORIGIN, "Origin is not allowed")
