"""One append: the events of one decision, on one or several streams, all or nothing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from uuid import UUID

import msgspec

from domain.errors import Invalid
from domain.events import Event
from domain.limits import log_limits
from runtime import ids
from runtime.eventlog import arrays
from runtime.eventlog.errors import VersionConflict
from runtime.eventlog.mapper import Encoded, to_encoded


class StreamWrite(msgspec.Struct, frozen=True):
    """Events for one stream, which is believed to be at version `expected`."""

    stream: str
    expected: int
    events: Sequence[Encoded]

    @classmethod
    def of(cls, stream: str, expected: int, events: Sequence[Event]) -> StreamWrite:
        """Encode the events. Raises Invalid for values that cannot be stored."""
        return cls(stream, expected, [to_encoded(event) for event in events])

    @property
    def size(self) -> int:
        """How many bytes the events have."""
        return sum(len(event.state) for event in self.events)


class Origin(msgspec.Struct, frozen=True):
    """Whose events, by whom, on what occasion.

    `owner` is the tenant, `actor` a user's id or `worker:<name>`, `correlation` the request or
    run that everything with the same value belongs to.
    """

    owner: str
    actor: str
    correlation: UUID | None = None


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


NOTHING_READ: Mapping[str, int] = MappingProxyType({})


class Append:
    """The writes of one append, packed for the wire so that the ordering lock never waits for it.

    `causation` is a UUID of this append alone: it tells, after a lost connection, whether the
    rows found at our versions are ours. `heads` and `tails` are the first and last versions that
    it wants of each stream; `claims` is what no two appends of one batch may share. `successors`
    are the heads that do not begin their stream: the version before must be in the log. `reads`
    are streams that it was decided on and leaves as they are, with their versions. `can_wait`:
    who follows the log need not hear of it at once.
    """

    __slots__ = (
        "can_wait",
        "causation",
        "claims",
        "columns",
        "count",
        "heads",
        "reads",
        "receipt",
        "receipt_columns",
        "size",
        "successors",
        "tails",
    )

    def __init__(
        self,
        writes: Sequence[StreamWrite],
        origin: Origin,
        receipt: Receipt | None = None,
        reads: Mapping[str, int] = NOTHING_READ,
        *,
        can_wait: bool = False,
    ) -> None:
        """Raises Invalid beyond the limits, VersionConflict for writes that do not fit together."""
        streams, versions, topics, states = [], [], [], []
        for write in writes:
            number = len(write.events)
            streams.append(arrays.text_element(write.stream) * number)
            versions.append(arrays.int8_elements(write.expected + 1, number))
            for event in write.events:
                topics.append(_name_element(event.topic))
                states.append(arrays.bytes_element(event.state))
        count = len(states)
        packed_states = b"".join(states)
        self.count = count
        self.size = len(packed_states)
        _check_size(self.count, self.size)
        self.causation = ids.new_id_bytes()
        self.receipt = receipt
        self.reads = reads
        self.can_wait = can_wait
        self.receipt_columns = _receipt_columns(receipt)
        self.heads, self.tails = _span(writes)
        self.claims = _claims(self.heads, receipt)
        self.successors = [head for head in self.heads.items() if head[1] > 1]
        self.columns = (
            b"".join(streams),
            b"".join(versions),
            b"".join(topics),
            packed_states,
            _name_element(origin.owner) * count,
            _name_element(origin.actor) * count,
            arrays.bytes_element(self.causation) * count,
            arrays.uuid_element(origin.correlation) * count,
        )


def _check_size(count: int, size: int) -> None:
    if count > log_limits.APPEND_EVENTS_MAX:
        raise Invalid(f"an append has at most {log_limits.APPEND_EVENTS_MAX} events, not {count}")
    if size > log_limits.APPEND_BYTES_MAX:
        raise Invalid(f"an append has at most {log_limits.APPEND_BYTES_MAX} bytes, not {size}")


def _span(writes: Sequence[StreamWrite]) -> tuple[dict[str, int], dict[str, int]]:
    """First and last versions by stream. Several writes to one must continue each other."""
    heads: dict[str, int] = {}
    tails: dict[str, int] = {}
    for write in writes:
        if tails.setdefault(write.stream, write.expected) != write.expected:
            raise VersionConflict(write.stream, write.expected + 1)
        heads.setdefault(write.stream, write.expected + 1)
        tails[write.stream] = write.expected + len(write.events)
    return heads, tails


def _claims(heads: dict[str, int], receipt: Receipt | None) -> tuple[Hashable, ...]:
    return (*heads, (receipt.owner, receipt.key)) if receipt is not None else tuple(heads)


def _receipt_columns(receipt: Receipt | None) -> tuple[bytes, ...] | None:
    if receipt is None:
        return None
    return (
        _name_element(receipt.owner),
        arrays.text_element(receipt.key),
        arrays.bytes_element(receipt.request_hash),
        arrays.bytes_element(receipt.answer),
    )


@lru_cache(maxsize=4_096)
def _name_element(name: str) -> bytes:
    """Topics, owners and actors come again and again."""
    return arrays.text_element(name)


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


RECEIPT_ARRAYS = (
    arrays.TextArray,
    arrays.TextArray,
    arrays.BytesArray,
    arrays.BytesArray,
    arrays.Int8Array,
)


def parameters(
    batch: Sequence[Append],
    unproven: Sequence[tuple[str, int]],
    reads: Sequence[tuple[str, int]],
    *,
    is_announced: bool,
) -> list[arrays.Packed]:
    """The arguments of `log.append` for a batch, in its order.

    `unproven` are those of its heads whose predecessors the server shall look for, and `reads` the
    streams with the versions that it shall find to be their last. `is_announced`: whoever listens
    is told.
    """
    receipts = []
    count = 0
    for append in batch:
        count += append.count
        if append.receipt_columns is not None:
            receipts.append((*append.receipt_columns, arrays.int8_element(count)))
    columns = [append.columns for append in batch]
    return [
        *_transposed(COLUMN_ARRAYS, count, columns),
        *_transposed(RECEIPT_ARRAYS, len(receipts), receipts),
        *_versions([(stream, version - 1) for stream, version in unproven]),
        *_versions(reads),
        arrays.boolean(is_announced),
    ]


def _versions(pairs: Sequence[tuple[str, int]]) -> tuple[arrays.PackedArray, arrays.PackedArray]:
    return (
        arrays.text_array([stream for stream, _ in pairs]),
        arrays.Int8Array(len(pairs), [arrays.int8_element(version) for _, version in pairs]),
    )


def _transposed(
    kinds: Sequence[type[arrays.PackedArray]], count: int, rows: Sequence[Sequence[bytes]]
) -> list[arrays.PackedArray]:
    """One array of `count` elements for each column of `rows`."""
    columns = zip(*rows, strict=True) if rows else [()] * len(kinds)
    return [kind(count, chunks) for kind, chunks in zip(kinds, columns, strict=True)]
