"""Who is calling: bearer tokens, checked before any handler runs.

The algorithm and the key come from the settings and never from the token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import jwt
import msgspec
from litestar.enums import ScopeType
from litestar.exceptions import NotAuthorizedException
from litestar.middleware.base import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from domain.errors import Invalid
from domain.json_values import check_text
from domain.limits import request_limits, value_limits
from runtime import clock
from runtime.cache import BoundedCache
from runtime.secrets import AUDIENCE, jwt_key
from runtime.settings import Settings

PUBLIC = "public"
"""The `opt` key of routes that anybody may call."""

_REQUIRED = ("exp", "sub", "aud")


class Principal(msgspec.Struct, frozen=True):
    """The caller, as the token says. `email` and `name` may be missing from it."""

    user_id: str
    email: str | None
    name: str | None
    is_admin: bool


class Proof(msgspec.Struct, frozen=True):
    """A token that was verified, and the moment from which it counts no more."""

    principal: Principal
    expires: float
    """Seconds since 1970, leeway included."""


class TokenRefused(Exception):
    """The token does not prove anything; the message says why."""


class Verifier:
    """Checks tokens with the one key of this installation.

    A client sends its token with every request, so what was verified is remembered: by the
    token's hash, because a token itself is a secret.
    """

    def __init__(self, settings: Settings) -> None:
        self._key = jwt_key(settings)
        self._algorithm = settings.jwt_algorithm
        self._issuer = settings.jwt_issuer
        self._key_id = settings.jwt_key_id
        self._required = [*_REQUIRED, *(() if self._issuer is None else ("iss", "iat"))]
        self._proofs: BoundedCache[bytes, Proof] = BoundedCache(
            request_limits.TOKENS_REMEMBERED_MAX
        )

    def verify(self, token: str) -> Principal:
        """The token's caller. Raises TokenRefused."""
        return self.prove(token).principal

    def prove(self, token: str) -> Proof:
        """The token's caller, and until when it is one. Raises TokenRefused."""
        digest = hashlib.sha256(token.encode()).digest()
        proof = self._proofs.get(digest)
        if proof is None or proof.expires <= clock.now().timestamp():
            proof = self._decode(token)
            self._proofs.put(digest, proof)
        return proof

    def _decode(self, token: str) -> Proof:
        try:
            whole = jwt.decode_complete(
                token,
                self._key,
                algorithms=[self._algorithm],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=request_limits.TOKEN_LEEWAY_SECONDS,
                options={"require": self._required, "strict_aud": True},
            )
        except jwt.ExpiredSignatureError:
            raise TokenRefused("Token has expired") from None
        except jwt.InvalidSignatureError:
            raise TokenRefused("Invalid token signature") from None
        except (jwt.PyJWTError, RecursionError) as error:
            raise TokenRefused(f"Invalid token: {error}") from None
        if self._key_id is not None and whole["header"].get("kid") != self._key_id:
            raise TokenRefused("Invalid token: its key is not known")
        claims = whole["payload"]
        try:
            principal = _principal(claims)
        except Invalid as error:
            raise TokenRefused(f"Invalid token: {error.message}") from None
        expires = min(int(claims["exp"]), value_limits.JSON_INTEGER_MAX)
        return Proof(principal, expires + request_limits.TOKEN_LEEWAY_SECONDS)

    def authenticate(self, authorization: str | None) -> Principal:
        """The caller behind an `Authorization` header. Raises TokenRefused."""
        if not authorization:
            raise TokenRefused("Authorization header is missing")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenRefused("Authorization header must be: Bearer <token>")
        return self.verify(token.strip())


class Authentication(ASGIMiddleware):
    """Puts the Principal on every request of a route that is not public."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = PUBLIC

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        try:
            scope["user"] = self._verifier.authenticate(header.decode("latin-1"))
        except TokenRefused as error:
            raise NotAuthorizedException(
                detail=str(error), headers={"WWW-Authenticate": "Bearer"}
            ) from None
        await next_app(scope, receive, send)


def _principal(claims: Mapping[str, Any]) -> Principal:
    """Raises Invalid for what could not be stored."""
    user_id = claims["sub"]
    if not 0 < len(user_id) <= value_limits.ID_CHARS_MAX:
        raise Invalid(f"sub must have 1 to {value_limits.ID_CHARS_MAX} characters")
    check_text(user_id, "sub")
    metadata = claims.get("user_metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return Principal(
        user_id=user_id,
        email=_text(claims.get("email"), "email"),
        name=_text(name, "name"),
        is_admin=claims.get("role") == "admin",
    )


def _text(value: object, claim: str) -> str | None:
    if not isinstance(value, str):
        return None
    check_text(value, claim)
    return value[: value_limits.NAME_CHARS_MAX]
