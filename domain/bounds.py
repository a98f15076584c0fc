"""Bounds of members of a request, for its document: who refuses what is beyond them says why."""

from __future__ import annotations

import msgspec


def documented(**keywords: float) -> msgspec.Meta:
    """Annotate a member with keywords of JSON Schema, which nothing here enforces."""
    return msgspec.Meta(extra_json_schema={"extra": keywords})
