"""Tokens for people who have no identity provider at hand."""

from __future__ import annotations

from uuid import UUID

from runtime import ids, secrets
from runtime.settings import Settings

DEMO_EMAIL = "demo@example.com"


def user_id_of(email: str) -> UUID:
    """The id that this e-mail address has in every token made here."""
    return ids.named_id(email.strip().lower())


def token_for(
    settings: Settings,
    email: str,
    *,
    user_id: UUID | None = None,
    name: str | None = None,
    admin: bool = False,
) -> str:
    """A signed token. Raises SettingsError when the private key is not ours."""
    return secrets.sign_token(
        settings, user_id=user_id or user_id_of(email), email=email, name=name, admin=admin
    )
