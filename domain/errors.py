"""Refusals that carry their meaning. The edge gives each kind its status; nobody else does."""

from __future__ import annotations


class DomainError(Exception):
    """A command or query that cannot be honoured, with a message for the caller."""

    slug = "refused"
    hint: str | None = None
    """What the caller can do about it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(DomainError):
    slug = "invalid"


class NotFound(DomainError):
    """The thing does not exist, or it is somebody else's: the caller cannot tell which."""

    slug = "not_found"


class Conflict(DomainError):
    slug = "conflict"


class PaymentRequired(DomainError):
    slug = "payment_required"


class KeyReused(DomainError):
    """An idempotency key came back with another request."""

    slug = "key_reused"


class Unavailable(DomainError):
    """A part that is needed does not answer; whether the command took effect may be unknown."""

    slug = "unavailable"
    hint = "Repeat the request after as many seconds as Retry-After says."


class StorageFull(Unavailable):
    """Nothing can be written until somebody makes room."""

    slug = "storage_full"


class ReadOnly(Unavailable):
    """The database can be read and takes no changes, as while another is to take over."""

    slug = "read_only"


class GraphInvalid(DomainError):
    """A graph with problems: `node_errors` maps a node id to `{field: message}`."""

    slug = "validation_error"

    def __init__(
        self,
        message: str,
        node_errors: dict[str, dict[str, str]] | None = None,
        errors: list[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.node_errors = node_errors or {}
        self.errors = errors or []
