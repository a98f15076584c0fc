"""What an append promises: all or nothing, once, in order, and alone in its failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid, Unavailable
from domain.limits import log_limits
from domain.runs import NodeCompleted
from runtime import ids
from runtime.eventlog.append import Append, Appended, StreamWrite
from runtime.eventlog.errors import (
    OutcomeUnknown,
    PredecessorMissing,
    ReceiptExists,
    VersionConflict,
)
from runtime.eventlog.log import EventLog, Origin, opened
from runtime.eventlog.mapper import Encoded, encode
from tests.support import log as logs
from tests.support.log import ORIGIN, append, granted, receipt, whole_stream


async def gather(*calls: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def check(log: EventLog) -> list[tuple[str, int]]:
    async with log.pool.connection() as connection:
        return await logs.check(connection)


async def test_an_append_reads_back_as_it_was_written(event_log: EventLog) -> None:
    origin = Origin(owner="tenant", actor="worker:one")
    events = [granted(1), granted(2, reason="ünïcode 🜂 \\u0000 \" ' \\")]
    appended = await event_log.append([StreamWrite.of("credits-ada", 0, events)], origin)
    assert appended == Appended(first=1, last=2)
    recorded = await whole_stream(event_log, "credits-ada")
    assert [(entry.version, entry.position, entry.event) for entry in recorded] == [
        (1, 1, events[0]),
        (2, 2, events[1]),
    ]
    assert await whole_stream(event_log, "credits-ada", after=1) == recorded[1:]
    assert await event_log.read_head() == 2


async def test_several_streams_are_written_all_or_nothing(event_log: EventLog) -> None:
    await append(event_log, "slug-taken", 0)
    both = [StreamWrite.of(stream, 0, [granted()]) for stream in ("listing", "slug-taken")]
    with pytest.raises(VersionConflict) as conflict:
        await event_log.append(both, ORIGIN)
    assert conflict.value.stream == "slug-taken"
    assert await whole_stream(event_log, "listing") == []
    free = [StreamWrite.of(stream, 0, [granted()]) for stream in ("listing", "slug-free")]
    assert await event_log.append(free, ORIGIN) == Appended(first=2, last=3)
    assert await check(event_log) == [("slug-taken", 1), ("listing", 1), ("slug-free", 1)]


async def test_a_conflict_fails_its_append_alone(event_log: EventLog) -> None:
    await append(event_log, "taken", 0)
    results = await gather(
        append(event_log, "a", 0),
        append(event_log, "taken", 0),
        append(event_log, "b", 0, granted(), granted()),
    )
    assert isinstance(results[1], VersionConflict)
    assert results[0::2] == [Appended(2, 2), Appended(3, 4)]
    await check(event_log)


async def test_of_many_that_want_one_version_one_has_it(event_log: EventLog) -> None:
    results = await gather(*(append(event_log, "hot", 0, granted(n)) for n in range(1, 65)))
    winners = [number for number, result in enumerate(results, 1) if isinstance(result, Appended)]
    assert len(winners) == 1
    assert sum(isinstance(result, VersionConflict) for result in results) == 63
    [recorded] = await whole_stream(event_log, "hot")
    assert recorded.event == granted(winners[0])


async def test_writes_that_do_not_continue_each_other_are_refused(event_log: EventLog) -> None:
    twice = [StreamWrite.of("a", 0, [granted()]), StreamWrite.of("a", 0, [granted()])]
    results = await gather(event_log.append(twice, ORIGIN), append(event_log, "b", 0))
    assert isinstance(results[0], VersionConflict)
    assert results[1] == Appended(1, 1)
    continued = [StreamWrite.of("a", version, [granted()]) for version in range(3)]
    assert await event_log.append(continued, ORIGIN) == Appended(2, 4)
    await check(event_log)


async def test_an_append_beyond_the_next_version_is_refused(event_log: EventLog) -> None:
    with pytest.raises(PredecessorMissing, match="version 6: it has no version 5"):
        await append(event_log, "a", 5)
    await append(event_log, "a", 0)
    with pytest.raises(PredecessorMissing) as refused:
        await append(event_log, "a", 2)
    assert refused.value.stream == "a"
    assert await append(event_log, "a", 1) == Appended(2, 2)
    assert await check(event_log) == [("a", 1), ("a", 2)]


async def test_appends_beyond_the_next_version_fail_alone(event_log: EventLog) -> None:
    await append(event_log, "old", 0)
    results = await gather(
        append(event_log, "a", 0),
        append(event_log, "b", 1),
        append(event_log, "old", 0),
        append(event_log, "old-not", 7, receipt=receipt("key")),
        append(event_log, "old", 1),
        append(event_log, "c", 0),
    )
    assert [type(result) for result in results] == [
        Appended,
        PredecessorMissing,
        VersionConflict,
        PredecessorMissing,
        Appended,
        Appended,
    ]
    assert await event_log.read_receipt(ORIGIN.owner, "key") is None
    assert sorted(await check(event_log)) == [("a", 1), ("c", 1), ("old", 1), ("old", 2)]


async def test_a_missing_version_of_one_stream_keeps_the_other_from_being_written(
    event_log: EventLog,
) -> None:
    await append(event_log, "long", 0)
    both = [StreamWrite.of("long", 1, [granted()]), StreamWrite.of("short", 1, [granted()])]
    for writes in (both, both[::-1]):
        with pytest.raises(PredecessorMissing) as refused:
            await event_log.append(writes, ORIGIN)
        assert refused.value.stream == "short"
    await append(event_log, "short", 0)
    assert await event_log.append(both, ORIGIN) == Appended(3, 4)
    await check(event_log)


async def test_an_append_may_follow_on_itself(event_log: EventLog) -> None:
    await append(event_log, "b", 0)
    writes = [
        StreamWrite.of("a", 0, [granted()]),
        StreamWrite.of("b", 1, [granted(), granted()]),
        StreamWrite.of("a", 1, [granted()]),
        StreamWrite.of("b", 3, [granted()]),
    ]
    assert await event_log.append(writes, ORIGIN) == Appended(2, 6)
    await check(event_log)


async def test_many_that_begin_anywhere_leave_no_gap(
    event_log: EventLog, database_url: str
) -> None:
    """Two writers, and appends in an order in which most come before their predecessors."""
    async with opened(database_url, "second") as second:
        wanted = [(log, n) for n in reversed(range(64)) for log in (event_log, second)]
        results = await gather(*(append(log, "hot", version) for log, version in wanted))
        assert all(isinstance(result, (Appended, VersionConflict)) for result in results)
        assert sum(isinstance(result, Appended) for result in results) == len(
            await check(event_log)
        )
        for log in (event_log, second):
            version = len(await whole_stream(log, "hot"))
            await append(log, "hot", version)
    await check(event_log)


async def test_a_receipt_is_kept_with_its_events_and_only_once(event_log: EventLog) -> None:
    appended = await append(event_log, "a", 0, granted(), granted(), receipt=receipt("key", b"1"))
    with pytest.raises(ReceiptExists):
        await append(event_log, "b", 0, receipt=receipt("key", b"2"))
    kept = await event_log.read_receipt(ORIGIN.owner, "key")
    assert kept is not None
    assert (kept.answer, kept.request_hash, kept.position) == (b"1", b"hash", appended.last)
    assert await event_log.read_receipt("somebody else", "key") is None
    await append(event_log, "b", 0, receipt=receipt("key", owner="somebody else"))
    assert await check(event_log) == [("a", 1), ("a", 2), ("b", 1)]


async def test_one_key_sent_many_times_at_once_is_written_once(event_log: EventLog) -> None:
    results = await gather(
        *(append(event_log, f"run-{n}", 0, receipt=receipt("key")) for n in range(50))
    )
    assert sum(isinstance(result, Appended) for result in results) == 1
    assert sum(isinstance(result, ReceiptExists) for result in results) == 49
    assert len(await check(event_log)) == 1


async def test_a_refused_append_leaves_the_others_of_its_batch_alone(event_log: EventLog) -> None:
    longer_than_an_index_entry = ids.new_secret(10_000)
    results = await gather(
        append(event_log, "a", 0),
        append(event_log, longer_than_an_index_entry, 0),
        append(event_log, "b", 0),
    )
    assert isinstance(results[1], Unavailable)
    assert not isinstance(results[1], OutcomeUnknown)
    assert [type(result) for result in results[0::2]] == [Appended, Appended]
    assert {stream for stream, _ in await check(event_log)} == {"a", "b"}


async def test_cancelled_callers_disturb_nobody(event_log: EventLog) -> None:
    calls = [asyncio.create_task(append(event_log, f"s-{n}", 0)) for n in range(300)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    results = await gather(*calls)
    assert all(isinstance(result, Appended) for result in results[1::2])
    written = {stream for stream, _ in await check(event_log)}
    assert written >= {f"s-{n}" for n in range(1, 300, 2)}
    await append(event_log, "afterwards", 0)


async def test_a_huge_event_is_stored_whole(event_log: EventLog) -> None:
    outputs = [("text", "é" * 2_500_000)]
    huge = NodeCompleted(execution=0, node="n", outputs=outputs, elapsed_us=1)
    await gather(*(append(event_log, f"run-{n}", 0, huge) for n in range(3)))
    for number in range(3):
        [recorded] = await whole_stream(event_log, f"run-{number}")
        assert recorded.event == huge
    await check(event_log)


async def test_too_much_for_one_append_is_invalid(event_log: EventLog) -> None:
    events = [granted()] * (log_limits.APPEND_EVENTS_MAX + 1)
    with pytest.raises(Invalid, match="events"):
        await append(event_log, "a", 0, *events)
    with pytest.raises(Invalid, match="bytes"):
        await append(event_log, "a", 0, granted(reason="x" * log_limits.APPEND_BYTES_MAX))
    await append(event_log, "a", 0, *events[1:])


@pytest.mark.parametrize("text", ["a\0b", "\0", "\\\0", "\ud800", "\udfff\ud800", "x\udc00"])
async def test_text_that_cannot_be_stored_is_invalid(event_log: EventLog, text: str) -> None:
    with pytest.raises(Invalid):
        await append(event_log, "a", 0, granted(reason=text))
    with pytest.raises(Invalid):
        await append(event_log, text, 0)
    with pytest.raises(Invalid):
        await event_log.append([StreamWrite.of("a", 0, [granted()])], Origin(text, "actor"))
    with pytest.raises(Invalid):
        await append(event_log, "a", 0, receipt=receipt(text))
    assert await event_log.read_head() == 0


@given(st.text(st.sampled_from('\\u0ab"\0\ud800')))
def test_exactly_nul_and_half_surrogates_are_invalid(text: str) -> None:
    is_good = "\0" not in text and "\ud800" not in text
    try:
        state = encode(granted(reason=text))
    except Invalid:
        assert not is_good
    else:
        assert is_good
        assert b"\0" not in state


async def test_more_callers_than_the_queue_holds_are_all_served(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_limits, "APPEND_QUEUE_MAX", 8)
    results = await gather(*(append(event_log, f"s-{n}", 0) for n in range(200)))
    assert all(isinstance(result, Appended) for result in results)
    assert len(await check(event_log)) == 200


async def test_a_closed_log_says_so(event_log: EventLog) -> None:
    await event_log.appender.close()
    with pytest.raises(Unavailable, match="nothing was written"):
        await append(event_log, "a", 0)


def test_causations_tell_appends_apart() -> None:
    write = StreamWrite("a", 0, [Encoded("topic@1", b"{}")])
    assert Append([write], ORIGIN).causation != Append([write], ORIGIN).causation
