"""What became of appends that were refused, or whose answer was lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import LiteralString
from uuid import UUID

import psycopg

from runtime import sql
from runtime.database import Row
from runtime.eventlog import arrays
from runtime.eventlog.arrays import PackedArray
from runtime.eventlog.errors import (
    PredecessorMissing,
    ReadOutdated,
    ReceiptExists,
    VersionConflict,
)
from runtime.eventlog.queue import Pending

FIND_WRITTEN = sql.load(__file__, "find_written")
FIND_RECEIPTS = sql.load(__file__, "find_receipts")

Ask = Callable[[LiteralString, Sequence[PackedArray]], Awaitable[list[Row]]]
"""Runs a statement and returns its rows."""

Place = tuple[str, int]
"""A stream and a version: the first that an append wants of it, or the last that it has read."""
Asked = tuple[Pending, Place]
"""What the server shall look at for an append."""


class Refusal(StrEnum):
    """The SQLSTATEs of `log.append` itself; its detail numbers what it was asked about, from 1."""

    PREDECESSOR_MISSING = "LG001"
    READ_OUTDATED = "LG002"


async def settle(ask: Ask, batch: Sequence[Pending]) -> list[Pending]:
    """Tell every append that has been decided, by us or by somebody else; return the others.

    Trying those again is safe even if an older server process were still at work on them: it
    needs the ordering lock as well, and whoever comes second finds the versions taken.
    """
    written = await _find_written(ask, batch)
    answered = await _find_answered(ask, batch)
    for pending in batch:
        _tell_if_written(pending, written)
        receipt = pending.append.receipt
        if receipt is not None and (receipt.owner, receipt.key) in answered:
            pending.fail(ReceiptExists(receipt.owner, receipt.key))
    return [pending for pending in batch if pending.is_open]


def unproven(batch: Sequence[Pending], known: Mapping[str, int]) -> list[Asked]:
    """The heads behind which the log may have nothing, as far as is `known`: up to which versions
    streams have been written.
    """
    return [
        (pending, head)
        for pending in batch
        for head in pending.append.successors
        if known.get(head[0], 0) < head[1] - 1
    ]


def reads(batch: Sequence[Pending]) -> list[Asked]:
    """The streams that appends of the batch were decided on, with the versions they must have."""
    return [(pending, read) for pending in batch for read in pending.append.reads.items()]


def tell(error: Exception, batch: Sequence[Pending], known: Mapping[str, int]) -> bool:
    """Tell those appends that `log.append` names, if `error` is its refusal to take them.

    At least one is told then, so trying the others again comes to an end.
    """
    match getattr(error, "sqlstate", None):
        case Refusal.PREDECESSOR_MISSING:
            _fail(unproven(batch, known), error, PredecessorMissing)
        case Refusal.READ_OUTDATED:
            _fail(reads(batch), error, ReadOutdated)
        case _:
            return False
    return True


def _fail(
    asked: Sequence[Asked],
    error: Exception,
    kind: type[PredecessorMissing | ReadOutdated],
) -> None:
    assert isinstance(error, psycopg.Error)
    numbers = error.diag.message_detail
    assert numbers is not None, "the function says which of those it was asked about it refuses"
    for number in numbers.split(","):
        pending, place = asked[int(number) - 1]
        if pending.unanswered:
            # An older server process may still be at work on it, and may have found it otherwise.
            pending.refuse()
        pending.fail(kind(*place))


def _tell_if_written(pending: Pending, written: dict[tuple[str, int], tuple[UUID, int]]) -> None:
    append = pending.append
    for head in append.heads.items():
        if head in written:
            causation, position = written[head]
            if causation.bytes == append.causation:
                # Positions of an append are dense, and its first head is its first row.
                pending.succeed(position)
            else:
                pending.fail(VersionConflict(*head))
            return


async def _find_written(
    ask: Ask, batch: Sequence[Pending]
) -> dict[tuple[str, int], tuple[UUID, int]]:
    heads = [head for pending in batch for head in pending.append.heads.items()]
    rows = await ask(
        FIND_WRITTEN,
        (
            arrays.TextArray(len(heads), [arrays.text_element(stream) for stream, _ in heads]),
            arrays.Int8Array(len(heads), [arrays.int8_element(version) for _, version in heads]),
        ),
    )
    return {
        (stream, version): (causation, position) for stream, version, causation, position in rows
    }


async def _find_answered(ask: Ask, batch: Sequence[Pending]) -> set[tuple[str, str]]:
    receipts = [pending.append.receipt for pending in batch]
    keys = [(receipt.owner, receipt.key) for receipt in receipts if receipt is not None]
    if not keys:
        return set()
    rows = await ask(
        FIND_RECEIPTS,
        (
            arrays.TextArray(len(keys), [arrays.text_element(owner) for owner, _ in keys]),
            arrays.TextArray(len(keys), [arrays.text_element(key) for _, key in keys]),
        ),
    )
    return {(owner, key) for owner, key in rows}
