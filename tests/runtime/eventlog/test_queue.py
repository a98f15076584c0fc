"""How appends are gathered into batches, and what happens to those that wait too long."""

from __future__ import annotations

import asyncio

import pytest

from domain.errors import Unavailable
from domain.limits import log_limits
from runtime.eventlog.append import Append, Appended, Receipt, StreamWrite
from runtime.eventlog.errors import OutcomeUnknown, VersionConflict
from runtime.eventlog.mapper import Encoded
from runtime.eventlog.queue import AppendQueue, Pending
from tests.support.log import ORIGIN, receipt

NOTHING_WRITTEN: dict[str, int] = {}


def append_to(
    *streams: str,
    expected: int = 0,
    events: int = 1,
    kept: Receipt | None = None,
    size: int = 2,
    reads: str = "",
) -> Append:
    """`reads` are streams of one letter, at version 1."""
    encoded = [Encoded("t@1", b"x" * size)] * events
    writes = [StreamWrite(stream, expected, encoded) for stream in streams]
    return Append(writes, ORIGIN, kept, dict.fromkeys(reads, 1))


def streams(batch: list[Pending]) -> list[str]:
    return ["+".join(pending.append.heads) for pending in batch]


async def take(queue: AppendQueue) -> list[str]:
    return streams(await queue.take_batch(NOTHING_WRITTEN))


async def test_a_batch_is_what_has_arrived_in_order_of_arrival() -> None:
    queue = AppendQueue()
    for stream in "abc":
        await queue.put(append_to(stream))
    assert await take(queue) == ["a", "b", "c"]


async def test_a_batch_holds_each_stream_and_each_key_once() -> None:
    queue = AppendQueue()
    await queue.put(append_to("a"))
    await queue.put(append_to("a", "b"))
    await queue.put(append_to("b"))
    await queue.put(append_to("c", kept=receipt("key")))
    await queue.put(append_to("d", kept=receipt("key")))
    await queue.put(append_to("e", kept=receipt("key", owner="somebody else")))
    assert await take(queue) == ["a", "c", "e"]
    assert await take(queue) == ["a+b", "d"]
    assert await take(queue) == ["b"]


async def test_no_batch_writes_what_one_of_its_appends_has_read() -> None:
    queue = AppendQueue()
    await queue.put(append_to("a", reads="rs"))
    await queue.put(append_to("b", reads="r"))
    await queue.put(append_to("r", expected=1))
    await queue.put(append_to("c", reads="r"))
    await queue.put(append_to("d", reads="s"))
    await queue.put(append_to("e", reads="t"))
    await queue.put(append_to("t", expected=1))
    assert await take(queue) == ["a", "b", "d", "e"]
    assert await take(queue) == ["r", "t"]
    assert await take(queue) == ["c"]


async def test_a_batch_has_bounds() -> None:
    queue = AppendQueue()
    for number in range(log_limits.APPEND_BATCH_APPENDS_MAX + 1):
        await queue.put(append_to(f"s-{number}"))
    assert len(await take(queue)) == log_limits.APPEND_BATCH_APPENDS_MAX
    await queue.put(append_to("many", events=log_limits.APPEND_EVENTS_MAX))
    await queue.put(append_to("more"))
    assert await take(queue) == [f"s-{log_limits.APPEND_BATCH_APPENDS_MAX}"]
    assert await take(queue) == ["many"]
    await queue.put(append_to("large", size=log_limits.APPEND_BYTES_MAX - 4))
    assert await take(queue) == ["more"]
    await queue.put(append_to("last"))
    assert await take(queue) == ["large"]
    assert await take(queue) == ["last"]


async def test_who_comes_too_late_is_told_without_asking_the_database() -> None:
    queue = AppendQueue()
    late = await queue.put(append_to("a", expected=1))
    await queue.put(append_to("a", expected=3))
    await queue.put(append_to("b"))
    assert streams(await queue.take_batch({"a": 3})) == ["a", "b"]
    assert isinstance(late.exception(), VersionConflict)


async def test_who_has_gone_takes_no_place() -> None:
    queue = AppendQueue()
    gone = await queue.put(append_to("a"))
    await queue.put(append_to("b"))
    gone.cancel()
    assert await take(queue) == ["b"]


async def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_limits, "APPEND_SECONDS_MAX", 0.0)
    queue = AppendQueue()
    sent = await queue.put(append_to("sent"))
    idle = await queue.put(append_to("idle"))
    taken = await queue.take_batch(NOTHING_WRITTEN)
    taken[0].unanswered = 1
    waiting = await queue.put(append_to("waiting"))
    queue.expire(taken)
    assert isinstance(sent.exception(), OutcomeUnknown)
    for outcome in (idle, waiting):
        assert type(outcome.exception()) is Unavailable


async def test_a_full_queue_lets_nobody_in_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_limits, "APPEND_QUEUE_MAX", 1)
    queue = AppendQueue()
    first = await queue.put(append_to("a"))
    at_the_door = asyncio.create_task(queue.put(append_to("b")))
    await asyncio.sleep(0)
    assert await take(queue) == ["a"]
    second = await at_the_door
    monkeypatch.setattr(log_limits, "APPEND_SECONDS_MAX", 0.01)
    with pytest.raises(Unavailable, match="nothing was written"):
        await queue.put(append_to("c"))
    assert not first.done()
    assert not second.done()


async def test_abandoning_tells_everybody() -> None:
    queue = AppendQueue()
    outcomes = [await queue.put(append_to(stream)) for stream in "ab"]
    taken = await queue.take_batch(NOTHING_WRITTEN)
    outcomes.append(await queue.put(append_to("c")))
    taken[0].succeed(7)
    queue.abandon(taken)
    assert outcomes[0].result() == Appended(7, 7)
    for outcome in outcomes[1:]:
        assert isinstance(outcome.exception(), Unavailable)
