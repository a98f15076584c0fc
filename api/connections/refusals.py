"""Answers to what never becomes a request, or is answered by nobody else, ready to be sent."""

from __future__ import annotations

from http import HTTPStatus
from itertools import product
from typing import NamedTuple

import msgspec

from api.http import headers
from api.http.headers import Headers
from api.http.problems import INTERNAL_ERROR, INTERNAL_MESSAGE, PROBLEM_JSON, RETRY_SECONDS, problem
from domain.errors import Unavailable

REASONS = {
    400: ("invalid", "This is no request of HTTP/1.1, or can be read in more than one way."),
    408: ("too_slow", "The request took too long to come."),
    414: ("address_too_long", "The address of the request is too long."),
    431: ("headers_too_large", "The request has too many headers, or too large ones."),
    500: (INTERNAL_ERROR, INTERNAL_MESSAGE),
    503: (Unavailable.slug, "There are too many connections."),
}


class Refusal(NamedTuple):
    """The last answer of its connection."""

    status: int
    headers: Headers
    body: bytes

    @property
    def encoded(self) -> bytes:
        """As it goes over the wire."""
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}".encode(),
            *(name + b": " + value for name, value in self.headers),
        ]
        return b"\r\n".join([*lines, b"", self.body])


def _refusal(status: int, *, is_tls: bool) -> Refusal:
    slug, message = REASONS[status]
    is_passing = status == HTTPStatus.SERVICE_UNAVAILABLE
    hint = Unavailable.hint if is_passing else None
    body = msgspec.json.encode(problem(status, slug, message, message, hint=hint).content)
    written = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *([(b"retry-after", RETRY_SECONDS.encode())] if is_passing else []),
        *headers.of_refusal(is_tls=is_tls),
    ]
    return Refusal(status, written, body)


REFUSALS = {
    (status, is_tls): _refusal(status, is_tls=is_tls)
    for status, is_tls in product(REASONS, (False, True))
}
"""By status, and whether they go through TLS."""
ENCODED = {key: refusal.encoded for key, refusal in REFUSALS.items()}
