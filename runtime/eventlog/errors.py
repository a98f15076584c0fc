"""How an append can fail. A failed append wrote nothing, unless it says that it does not know."""

from __future__ import annotations

from domain.errors import Unavailable


class AppendError(Exception):
    """The append wrote nothing."""


class VersionConflict(AppendError):
    """Somebody else wrote to the stream first."""

    def __init__(self, stream: str, version: int) -> None:
        super().__init__(f"{stream} already has a version {version}")
        self.stream = stream


class ReceiptExists(AppendError):
    """The idempotency key has been answered before."""

    def __init__(self, owner: str, key: str) -> None:
        super().__init__("the idempotency key has been used")
        self.owner = owner
        self.key = key


class OutcomeUnknown(Unavailable):
    """The database went away; whether the events were written cannot be said now."""

    def __init__(self) -> None:
        super().__init__(
            "The database does not answer; whether the command took effect is unknown. "
            "Repeat it with the same Idempotency-Key."
        )
