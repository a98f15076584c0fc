"""One exchange with a server outside, as blocks see it and the guarded client makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from domain.limits import egress_limits

Body: TypeAlias = bytes | Callable[[], bytes]
"""What is sent, or what makes it when the turn has come: many requests may wait."""


class HttpAnswer(msgspec.Struct, frozen=True):
    """`headers` has lower-case names; `body` is decompressed."""

    status: int
    headers: dict[str, str]
    body: bytes


class HttpFailure(Exception):
    """There is no answer, and a message for people says why."""


class HttpRefused(HttpFailure):
    """The request is not allowed, and nothing was sent to the refused place."""


def check_size(size: int) -> None:
    """Raises HttpRefused for a body of a request with too many bytes."""
    if size > egress_limits.REQUEST_BYTES_MAX:
        raise HttpRefused(
            f"The body of the request has more than {egress_limits.REQUEST_BYTES_MAX} bytes"
        )
