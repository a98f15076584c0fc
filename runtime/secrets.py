"""The key that our own tokens are signed and checked with."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import jwt

from domain.limits import process_limits
from runtime import clock, ids
from runtime.embedded import folder
from runtime.embedded.child import StartError
from runtime.settings import HMAC_ALGORITHMS, Settings, SettingsError

AUDIENCE = "authenticated"


def jwt_key(settings: Settings) -> str:
    """The key of the settings, or a secret made once and kept in the data folder.

    Raises StartError when the data folder cannot be used.
    """
    if settings.jwt_verify_key is not None:
        return settings.jwt_verify_key
    folder.make(settings.data_dir)
    return _kept_secret(settings.data_dir / "jwt.key")


def sign_token(
    settings: Settings,
    *,
    user_id: UUID,
    email: str,
    name: str | None = None,
    admin: bool = False,
    seconds: int = process_limits.TOKEN_SECONDS,
) -> str:
    """A bearer token that the API accepts for `seconds`.

    Raises SettingsError when only somebody else has the private key.
    """
    if settings.jwt_algorithm not in HMAC_ALGORITHMS:
        raise SettingsError(f"JWT_ALGORITHM is {settings.jwt_algorithm}: we cannot sign tokens")
    now = clock.now()
    claims = {
        "sub": str(user_id),
        "email": email,
        "aud": AUDIENCE,
        "role": "admin" if admin else "authenticated",
        "iat": now,
        "exp": now + timedelta(seconds=seconds),
        "user_metadata": {} if name is None else {"name": name},
    }
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    headers = None if settings.jwt_key_id is None else {"kid": settings.jwt_key_id}
    return jwt.encode(claims, jwt_key(settings), settings.jwt_algorithm, headers)


def _kept_secret(path: Path) -> str:
    """Read the secret at `path`, made by whichever process comes first."""
    try:
        if not path.exists():
            _put_once(path, ids.new_secret())
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise StartError(f"the secret {path} cannot be kept: {error.strerror}") from error


def _put_once(path: Path, secret: str) -> None:
    """A link appears with its whole content, or not at all when another was first."""
    draft = path.with_suffix(f".{ids.new_id()}")
    folder.write_secret(draft, secret.encode(), os.geteuid(), os.getegid())
    with suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    folder.sync(path.parent)
