"""The only place that makes identifiers and secrets."""

from __future__ import annotations

import secrets
from uuid import UUID, uuid5

import uuid_utils

NAMES = UUID("6f0d8f0a-3c1e-5b7e-9a53-2f6f0f7a9d11")
"""The namespace of ids that follow from a name."""


def new_id() -> UUID:
    """A version 7 UUID: later ones sort after earlier ones, which keeps indexes dense."""
    return UUID(bytes=new_id_bytes())


def new_id_bytes() -> bytes:
    """The 16 bytes of a new id, for where thousands a second are made."""
    return uuid_utils.uuid7().bytes


def named_id(name: str) -> UUID:
    """The same version 5 UUID for the same name, always and everywhere."""
    return uuid5(NAMES, name)


def new_secret(size: int = 48) -> str:
    """A random text of `size` bytes of entropy, safe in URLs and environment variables."""
    return secrets.token_urlsafe(size)
