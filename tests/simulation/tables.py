"""What the simulated database holds, and the rules of an append to the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from runtime.eventlog.append import Origin, Receipt, StreamWrite
from runtime.eventlog.errors import (
    PredecessorMissing,
    ReadOutdated,
    ReceiptExists,
    VersionConflict,
)
from runtime.eventlog.reader import LogEvent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """One event."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes
    owner: str
    actor: str
    causation: bytes
    recorded_at: datetime

    @property
    def log_event(self) -> LogEvent:
        recorded_us = (self.recorded_at - EPOCH) // timedelta(microseconds=1)
        return LogEvent(
            *(self.position, self.stream, self.version, self.topic, self.state, self.owner),
            recorded_us=recorded_us,
        )


class Lease(msgspec.Struct):
    name: str
    expires_at: datetime


class Leader(msgspec.Struct):
    holder: str = ""
    epoch: int = 0
    expires_at: datetime = EPOCH
    session: object = None
    """Whose session holds the lock of the epoch; None: nobody's."""


class Kept(NamedTuple):
    """An answer under an idempotency key."""

    receipt: Receipt
    position: int


class Asked(NamedTuple):
    """An append, as the server gets it."""

    writes: Sequence[StreamWrite]
    origin: Origin
    receipt: Receipt | None
    reads: Mapping[str, int]
    causation: bytes


RunRow = Mapping[str, Any]
"""A row of `read.runs`: never changed, only replaced."""


class Tables:
    """Of one database. `runs` and `tracking` are replaced as a whole by transactions."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.repository: dict[str, list[Row]] = {}
        self.receipts: dict[tuple[str, str], Kept] = {}
        self.values: dict[tuple[str, str], bytes] = {}
        self.snapshots: dict[str, tuple[int, int, bytes]] = {}
        """Version, format and state by stream."""
        self.leases: dict[str, Lease] = {}
        self.leaders: dict[str, Leader] = {}
        self.wake_ups: dict[str, datetime] = {}
        self.tracking: dict[str, int] = {}
        self.runs: dict[str, RunRow] = {}
        self.locked_by: object = None
        """The session whose transaction has the rows of `tracking`."""

    @property
    def head(self) -> int:
        return len(self.rows)

    def version_of(self, stream: str) -> int:
        return len(self.repository.get(stream, ()))

    def written(self, causation: bytes, stream: str, version: int) -> int | None:
        """The position of this append's event with this version; None if it is not there."""
        rows = self.repository.get(stream, [])
        if len(rows) < version or rows[version - 1].causation != causation:
            return None
        return rows[version - 1].position

    def append(self, asked: Asked, moment: datetime) -> int:
        """Write all or nothing; returns the first position. Raises AppendError."""
        self._check(asked.writes, asked.receipt, asked.reads)
        first = self.head + 1
        origin, receipt = asked.origin, asked.receipt
        for write in asked.writes:
            rows = self.repository.setdefault(write.stream, [])
            for event in write.events:
                row = Row(
                    *(self.head + 1, write.stream, len(rows) + 1, event.topic, event.state),
                    *(origin.owner, origin.actor, asked.causation, moment),
                )
                rows.append(row)
                self.rows.append(row)
        if receipt is not None:
            self.receipts[receipt.owner, receipt.key] = Kept(receipt, self.head)
        return first

    def _check(
        self, writes: Sequence[StreamWrite], receipt: Receipt | None, reads: Mapping[str, int]
    ) -> None:
        expected: dict[str, int] = {}
        for write in writes:
            expected.setdefault(write.stream, write.expected)
        for stream, version in expected.items():
            if self.version_of(stream) < version:
                raise PredecessorMissing(stream, version + 1)
        for stream, version in reads.items():
            if self.version_of(stream) != version:
                raise ReadOutdated(stream, version)
        for stream, version in expected.items():
            if self.version_of(stream) > version:
                raise VersionConflict(stream, version + 1)
        if receipt is not None and (receipt.owner, receipt.key) in self.receipts:
            raise ReceiptExists(receipt.owner, receipt.key)
