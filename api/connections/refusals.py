"""Answers to what never becomes a request, ready to be sent."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from api.problems import PROBLEM_JSON, RETRY_SECONDS, problem
from domain.errors import Unavailable

REASONS = {
    400: ("invalid", "This is no request of HTTP/1.1, or can be read in more than one way."),
    408: ("too_slow", "The request took too long to come."),
    414: ("address_too_long", "The address of the request is too long."),
    431: ("headers_too_large", "The request has too many headers, or too large ones."),
    503: (Unavailable.slug, "There are too many connections."),
}


def _written(status: int) -> bytes:
    slug, message = REASONS[status]
    is_passing = status == HTTPStatus.SERVICE_UNAVAILABLE
    hint = Unavailable.hint if is_passing else None
    body = msgspec.json.encode(problem(status, slug, message, message, hint=hint).content)
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"content-type: {PROBLEM_JSON}",
        f"content-length: {len(body)}",
        "cache-control: no-store",
        "connection: close",
        *([f"retry-after: {RETRY_SECONDS}"] if is_passing else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


REFUSALS = {status: _written(status) for status in REASONS}
"""By status; each is the last answer of its connection."""
