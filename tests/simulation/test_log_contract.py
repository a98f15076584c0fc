"""What every event log promises: the real one, and the one that simulations run on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextvars import Context
from typing import cast

import pytest

from domain.errors import Invalid
from domain.limits import log_limits
from runtime.eventlog.append import Appended, Receipt
from runtime.eventlog.errors import (
    PredecessorMissing,
    ReadOutdated,
    ReceiptExists,
    VersionConflict,
)
from runtime.eventlog.log import EventLog, StreamWrite
from runtime.eventlog.reader import StreamEvent
from runtime.eventlog.values import ValueMissing
from tests.simulation.database import Server
from tests.simulation.log import MemoryLog
from tests.simulation.tables import Tables
from tests.support.log import ORIGIN, append, granted, receipt, whole_stream


@pytest.fixture(params=["real", "memory"])
async def log(request: pytest.FixtureRequest, event_log: EventLog) -> AsyncIterator[EventLog]:
    if request.param == "real":
        yield event_log
        return
    server = Server(asyncio.get_running_loop(), random.Random(1), Tables(), Context())
    memory = MemoryLog(server)
    await memory.open()
    yield cast("EventLog", memory)
    await memory.close()


def reasons(events: list[StreamEvent]) -> list[str]:
    return [getattr(event.event, "reason", "") for event in events]


async def test_positions_and_versions_are_dense(log: EventLog) -> None:
    assert await append(log, "a", 0, granted(), granted()) == Appended(1, 2)
    assert await append(log, "b", 0) == Appended(3, 3)
    assert await append(log, "a", 2) == Appended(4, 4)
    events = await whole_stream(log, "a")
    assert [(event.version, event.position) for event in events] == [(1, 1), (2, 2), (3, 4)]
    assert await log.read_head() == 4


async def test_an_append_to_several_streams_is_written_whole_or_not_at_all(log: EventLog) -> None:
    await append(log, "a", 0)
    both = [StreamWrite.of("b", 0, [granted()]), StreamWrite.of("a", 0, [granted()])]
    with pytest.raises(VersionConflict) as refused:
        await log.append(both, ORIGIN)
    assert refused.value.stream == "a"
    assert await log.versions_of(["a", "b"]) == {"a": 1, "b": 0}


async def test_writes_to_one_stream_go_on_from_each_other(log: EventLog) -> None:
    twice = [StreamWrite.of("a", 0, [granted(reason="x")]), StreamWrite.of("b", 0, [granted()])]
    await log.append(twice, ORIGIN)
    unfit = [StreamWrite.of("a", 1, [granted()]), StreamWrite.of("a", 5, [granted()])]
    with pytest.raises(VersionConflict):
        await log.append(unfit, ORIGIN)
    assert reasons(await whole_stream(log, "a")) == ["x"]


async def test_an_append_beyond_the_next_version_is_refused(log: EventLog) -> None:
    await append(log, "a", 0)
    with pytest.raises(PredecessorMissing) as refused:
        await append(log, "a", 2)
    assert refused.value.stream == "a"
    assert await log.read_head() == 1


async def test_of_many_who_want_one_version_one_gets_it(log: EventLog) -> None:
    tries = (append(log, "a", 0) for _ in range(20))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, Appended) for result in results) == 1
    assert sum(isinstance(result, VersionConflict) for result in results) == 19


async def test_an_append_proves_what_it_was_decided_on(log: EventLog) -> None:
    await append(log, "a", 0)
    write = [StreamWrite.of("b", 0, [granted()])]
    await append(log, "a", 1)
    with pytest.raises(ReadOutdated) as refused:
        await log.append(write, ORIGIN, reads={"a": 1})
    assert refused.value.stream == "a"
    await log.append(write, ORIGIN, reads={"a": 2})


async def test_under_a_key_there_is_one_answer(log: EventLog) -> None:
    first = receipt("k", b'{"n":1}')
    await append(log, "a", 0, granted(), granted(), receipt=first)
    with pytest.raises(ReceiptExists):
        await append(log, "b", 0, receipt=receipt("k", b'{"n":2}'))
    assert await log.versions_of(["b"]) == {"b": 0}
    found = await log.read_receipt(ORIGIN.owner, "k")
    assert found is not None
    assert (found.request_hash, found.answer, found.position) == (b"hash", b'{"n":1}', 2)
    assert await log.read_receipt("eve", "k") is None


async def test_another_owner_may_use_the_same_key(log: EventLog) -> None:
    await append(log, "a", 0, receipt=receipt("k"))
    await append(log, "b", 0, receipt=Receipt("eve", "k", b"hash", b"{}"))


async def test_too_much_at_once_is_invalid(log: EventLog) -> None:
    with pytest.raises(Invalid):
        await append(log, "a", 0, *[granted()] * (log_limits.APPEND_EVENTS_MAX + 1))


async def test_a_stream_is_read_in_pages_between_two_versions(log: EventLog) -> None:
    count = log_limits.STREAM_PAGE_EVENTS + 10
    await append(log, "a", 0, *(granted(reason=str(number)) for number in range(count)))
    pages = [page async for page in log.stream_pages("a")]
    assert all(0 < len(page) <= log_limits.STREAM_PAGE_EVENTS for page in pages)
    assert [event.version for page in pages for event in page] == list(range(1, count + 1))
    part = [event async for page in log.stream_pages("a", after=3, upto=6) for event in page]
    assert reasons(part) == ["3", "4", "5"]
    assert [page async for page in log.stream_pages("a", after=count)] == []
    assert [page async for page in log.stream_pages("nobody")] == []


async def test_events_are_found_by_type_version_and_moment(log: EventLog) -> None:
    await append(log, "a", 0, granted(reason="x"), granted(reason="y"))
    topic = "credits.CreditsGranted@1"
    found, version = await log.read_topics("a", [topic], after=1)
    assert (reasons(found), version) == (["y"], 2)
    assert await log.read_topics("a", ["credits.CreditsHeld@1"]) == ([], 2)
    assert await log.read_topics("nobody", [topic]) == ([], 0)
    owner = await log.owner_of("a")
    assert reasons((await log.read_topics("a", [topic], owner=owner))[0]) == ["x", "y"]
    assert await log.read_topics("a", [topic], owner="another") == ([], 2)
    assert await log.owner_of("nobody") is None
    assert reasons(await log.read_events("a", [2])) == ["y"]
    [first, *_] = await whole_stream(log, "a")
    assert await log.version_at("a", first.recorded_at) == 2
    assert await log.version_at("a", first.recorded_at.replace(year=2000)) == 0


async def test_the_last_events_are_those_of_one_moment(log: EventLog) -> None:
    assert await log.read_last(["a"]) == ({}, 0)
    await append(log, "a", 0, granted(reason="x"), granted(reason="y"))
    await append(log, "b", 0)
    last, head = await log.read_last(["a", "nobody"])
    assert ({name: event.version for name, event in last.items()}, head) == ({"a": 2}, 3)


async def test_values_are_their_owners(log: EventLog) -> None:
    [name] = await log.values.put("ada", [b"[1]"])
    assert await log.values.put("ada", [b"[1]"]) == [name]
    assert await log.values.get("ada", [name]) == {name: b"[1]"}
    assert await log.values.sizes("ada", [name]) == {name: 3}
    with pytest.raises(ValueMissing):
        await log.values.get("eve", [name])


async def test_the_newest_snapshot_of_a_format_is_kept(log: EventLog) -> None:
    snapshots = log.snapshots
    await snapshots.save("a", 5, 1, b"five")
    await snapshots.save("a", 3, 1, b"three")
    assert await snapshots.load("a", 1) == (5, b"five")
    assert await snapshots.load("a", 1, at_most=4) is None
    assert await snapshots.load("a", 2) is None
    await snapshots.save("a", 5, 2, b"five again")
    assert await snapshots.load("a", 2) == (5, b"five again")
    await snapshots.forget("a")
    assert await snapshots.load("a", 2) is None
