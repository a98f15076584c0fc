"""How an append can fail. A failed append wrote nothing, unless it says that it does not know."""

from __future__ import annotations

from domain.errors import Unavailable


class AppendError(Exception):
    """The append wrote nothing."""


class VersionConflict(AppendError):
    """The stream is not at the version that was expected: mostly, somebody else wrote first."""

    def __init__(self, stream: str, version: int, reason: str = "") -> None:
        super().__init__(reason or f"{stream} already has a version {version}")
        self.stream = stream


class PredecessorMissing(VersionConflict):
    """The stream is shorter than was expected; what was believed of it is not in the log."""

    def __init__(self, stream: str, version: int) -> None:
        reason = f"{stream} cannot have a version {version}: it has no version {version - 1}"
        super().__init__(stream, version, reason)


class ReadOutdated(VersionConflict):
    """A stream that the append was decided on is not at the version that was read."""

    def __init__(self, stream: str, version: int) -> None:
        super().__init__(stream, version, f"{stream} is not at version {version} any more")


class ReceiptExists(AppendError):
    """The idempotency key has been answered before."""

    def __init__(self, owner: str, key: str) -> None:
        super().__init__("the idempotency key has been used")
        self.owner = owner
        self.key = key


class OutcomeUnknown(Unavailable):
    """The database went away; whether the events were written cannot be said now."""

    hint = (
        "Repeat the request with the same Idempotency-Key: it takes effect once. "
        "If it had none, look first whether it took effect."
    )

    def __init__(self) -> None:
        super().__init__(
            "The database does not answer; whether the command took effect is unknown."
        )
