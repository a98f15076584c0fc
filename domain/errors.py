"""Refusals that carry their meaning. The edge gives each kind its status; nobody else does."""

from __future__ import annotations

from itertools import islice

from domain.limits import graph_limits, value_limits


class DomainError(Exception):
    """A command or query that cannot be honoured, with a message for the caller.

    A message may quote what it is about, so it is cut at ERROR_CHARS_MAX.
    """

    slug = "refused"
    hint: str | None = None
    """What the caller can do about it."""

    def __init__(self, message: str) -> None:
        self.message = _cut(message)
        super().__init__(self.message)


class Invalid(DomainError):
    slug = "invalid"


class NotFound(DomainError):
    """The thing does not exist, or it is somebody else's: the caller cannot tell which."""

    slug = "not_found"


class Conflict(DomainError):
    slug = "conflict"


class PaymentRequired(DomainError):
    slug = "payment_required"


class QuotaExceeded(DomainError):
    """The user has as much as a user may have."""

    slug = "quota_exceeded"
    hint = "What is stored stays; whoever operates this installation may allow more."


class KeyReused(DomainError):
    """An idempotency key came back with another request."""

    slug = "key_reused"


class Unavailable(DomainError):
    """A part that is needed does not answer; whether the command took effect may be unknown."""

    slug = "unavailable"
    hint = "Repeat the request after as many seconds as Retry-After says."


class NoRoom(Unavailable):
    """What is wanted is heavy, and does not fit into memory beside what is there."""


class StorageFull(Unavailable):
    """Nothing can be written until somebody makes room."""

    slug = "storage_full"


class ReadOnly(Unavailable):
    """The database can be read and takes no changes, as while another is to take over."""

    slug = "read_only"


class GraphInvalid(DomainError):
    """A graph with problems: `node_errors` maps a node id to `{field: message}`.

    Of both lists the first GRAPH_ERRORS_MAX problems are told.
    """

    slug = "validation_error"

    def __init__(
        self,
        message: str,
        node_errors: dict[str, dict[str, str]] | None = None,
        errors: list[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.node_errors = _told(node_errors or {})
        self.errors = [_cut(error) for error in (errors or [])[: graph_limits.GRAPH_ERRORS_MAX]]


def _cut(message: str) -> str:
    if len(message) <= value_limits.ERROR_CHARS_MAX:
        return message
    return f"{message[: value_limits.ERROR_CHARS_MAX - 1]}…"


def _told(node_errors: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    every = (
        (node_id, field, message)
        for node_id, fields in node_errors.items()
        for field, message in fields.items()
    )
    told: dict[str, dict[str, str]] = {}
    for node_id, field, message in islice(every, graph_limits.GRAPH_ERRORS_MAX):
        told.setdefault(node_id, {})[field] = _cut(message)
    return told
