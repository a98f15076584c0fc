"""What became of appends that were refused, or whose answer was lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import LiteralString
from uuid import UUID

from runtime import sql
from runtime.database import Row
from runtime.eventlog import arrays
from runtime.eventlog.arrays import PackedArray
from runtime.eventlog.errors import PredecessorMissing, ReceiptExists, VersionConflict
from runtime.eventlog.queue import Pending

FIND_WRITTEN = sql.load(__file__, "find_written")
FIND_RECEIPTS = sql.load(__file__, "find_receipts")

Ask = Callable[[LiteralString, Sequence[PackedArray]], Awaitable[list[Row]]]
"""Runs a statement and returns its rows."""

Head = tuple[str, int]
"""A stream, and the first version that an append wants of it."""


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


def unproven(batch: Sequence[Pending], known: Mapping[str, int]) -> list[tuple[Pending, Head]]:
    """The heads behind which the log may have nothing, as far as is `known`: up to which versions
    streams have been written.
    """
    return [
        (pending, head)
        for pending in batch
        for head in pending.append.successors
        if known.get(head[0], 0) < head[1] - 1
    ]


def fail_those_beyond(asked: Sequence[tuple[Pending, Head]], missing: str) -> None:
    """Tell every append whose stream is shorter than it expected.

    `missing` is what `log.append` says: behind which of the heads that were `asked` about there is
    nothing, by their numbers from 1 on. At least one append is told, so trying the others again
    comes to an end.
    """
    for number in missing.split(","):
        pending, head = asked[int(number) - 1]
        if pending.unanswered:
            # An older server process may still be at work on it, and may find a predecessor.
            pending.refuse()
        pending.fail(PredecessorMissing(*head))


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
