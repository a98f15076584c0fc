"""The only place that makes identifiers and secrets."""

from __future__ import annotations

import secrets
from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A version 7 UUID: later ones sort behind earlier ones, which keeps indexes dense."""
    return uuid_utils.compat.uuid7()


def new_secret(size: int = 48) -> str:
    """A random text of `size` bytes of entropy, safe in URLs and environment variables."""
    return secrets.token_urlsafe(size)
