"""One append: the events of one decision, on one or several streams, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from uuid import UUID

import msgspec

from domain import limits
from domain.errors import Invalid
from runtime.eventlog import arrays


class Row(msgspec.Struct, frozen=True):
    """One event in stored form; the library calls it a StoredEvent."""

    stream: str
    version: int
    topic: str
    state: bytes


class Receipt(msgspec.Struct, frozen=True):
    """An answer to be kept under an idempotency key, in the same commit as the events."""

    owner: str
    key: str
    request_hash: bytes
    answer: bytes


class Appended(msgspec.Struct, frozen=True):
    """Positions that an append was given: `first` to `last`, without a hole."""

    first: int
    last: int


class Append:
    """The rows of one append, packed for the wire so that the ordering lock never waits for it.

    `causation` is a UUID of this append alone: it tells, after a lost connection, whether the
    rows found at our versions are ours.
    """

    __slots__ = ("causation", "columns", "count", "heads", "receipt", "size")

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        owner: str,
        actor: str,
        causation: bytes,
        correlation: UUID | None = None,
        receipt: Receipt | None = None,
    ) -> None:
        count = len(rows)
        assert count > 0, "an append has events"
        if count > limits.APPEND_EVENTS_MAX:
            raise Invalid(f"an append has at most {limits.APPEND_EVENTS_MAX} events, not {count}")
        states = b"".join([arrays.bytes_element(row.state) for row in rows])
        if len(states) > limits.APPEND_BYTES_MAX:
            raise Invalid(f"an append has at most {limits.APPEND_BYTES_MAX} bytes")
        self.count = count
        self.size = len(states)
        self.causation = causation
        self.receipt = receipt
        heads: dict[str, int] = {}
        for row in rows:
            heads.setdefault(row.stream, row.version)
        self.heads = tuple(heads.items())
        self.columns = (
            b"".join([arrays.text_element(row.stream) for row in rows]),
            b"".join([arrays.int8_element(row.version) for row in rows]),
            b"".join([_topic_element(row.topic) for row in rows]),
            states,
            _actor_element(owner) * count,
            _actor_element(actor) * count,
            arrays.bytes_element(causation) * count,
            arrays.uuid_element(correlation) * count,
        )


@lru_cache(maxsize=1_024)
def _topic_element(topic: str) -> bytes:
    return arrays.text_element(topic)


@lru_cache(maxsize=4_096)
def _actor_element(actor: str) -> bytes:
    return arrays.text_element(actor)


COLUMN_ARRAYS = (
    arrays.TextArray,
    arrays.Int8Array,
    arrays.TextArray,
    arrays.BytesArray,
    arrays.TextArray,
    arrays.TextArray,
    arrays.UuidArray,
    arrays.UuidArray,
)


def parameters(batch: Sequence[Append]) -> list[arrays.PackedArray]:
    """The arguments of `log.append` for a batch, in its order."""
    count = sum(append.count for append in batch)
    events = [
        array(count, [append.columns[index] for append in batch])
        for index, array in enumerate(COLUMN_ARRAYS)
    ]
    return [*events, *_receipt_parameters(batch)]


def _receipt_parameters(batch: Sequence[Append]) -> list[arrays.PackedArray]:
    receipts = []
    offset = 0
    for append in batch:
        offset += append.count
        if append.receipt is not None:
            receipts.append((append.receipt, offset))
    size = len(receipts)
    return [
        arrays.TextArray(size, [arrays.text_element(r.owner) for r, _ in receipts]),
        arrays.TextArray(size, [arrays.text_element(r.key) for r, _ in receipts]),
        arrays.BytesArray(size, [arrays.bytes_element(r.request_hash) for r, _ in receipts]),
        arrays.BytesArray(size, [arrays.bytes_element(r.answer) for r, _ in receipts]),
        arrays.Int8Array(size, [arrays.int8_element(last) for _, last in receipts]),
    ]
