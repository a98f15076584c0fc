"""One exchange with a server outside, as blocks see it and the guarded client makes it."""

from __future__ import annotations

import msgspec


class HttpAnswer(msgspec.Struct, frozen=True):
    """`headers` has lower-case names; `body` is decompressed."""

    status: int
    headers: dict[str, str]
    body: bytes


class HttpFailure(Exception):
    """There is no answer, and a message for people says why."""


class HttpRefused(HttpFailure):
    """The request is not allowed, and nothing was sent to the refused place."""
