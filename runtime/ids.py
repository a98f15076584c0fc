"""The only place that makes identifiers and secrets."""

from __future__ import annotations

import secrets
from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """A version 7 UUID: later ones sort behind earlier ones, which keeps indexes dense."""
    return UUID(bytes=new_id_bytes())


def new_id_bytes() -> bytes:
    """The 16 bytes of a new id, for where thousands a second are made."""
    return uuid_utils.uuid7().bytes


def new_secret(size: int = 48) -> str:
    """A random text of `size` bytes of entropy, safe in URLs and environment variables."""
    return secrets.token_urlsafe(size)
