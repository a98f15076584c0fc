"""How commands run: on the present state, once for each key, and fairly in a crowd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from commands import credits as commands
from commands.context import Context, Idempotency
from commands.streams import Decision, Done, Streams
from domain import credits as accounts
from domain import limits
from domain.credits import Account, CreditsHeld
from domain.errors import Invalid, KeyReused, PaymentRequired, Unavailable
from runtime.eventlog.append import Appended, StreamWrite
from runtime.eventlog.log import EventLog, opened
from runtime.eventlog.reader import StreamEvent
from tests.support import log as logs
from tests.support.log import append, granted

ADA = Context(owner="ada", actor="ada")
STREAM = accounts.stream_of("ada")
OFTEN = 50


def keyed(key: str, request: bytes = b"request", owner: str = "ada") -> Context:
    return Context(owner, owner, idempotency=Idempotency(key, request))


async def grant(streams: Streams, context: Context = ADA, amount: int = 1) -> Done[Account]:
    return await commands.grant(streams, context, amount=amount, reason="test")


async def check(log: EventLog) -> list[tuple[str, int]]:
    async with log.pool.connection() as connection:
        return await logs.check(connection)


async def test_state_is_folded_from_what_was_written_since(streams: Streams) -> None:
    assert (await commands.load(streams, "ada")).version == 0
    for expected in (1, 2, 3):
        done = await grant(streams)
        assert (done.answer.granted, done.position) == (expected, expected)
    await append(streams.log, STREAM, 3, granted(10), granted(10))
    loaded = await commands.load(streams, "ada")
    assert (loaded.state.granted, loaded.version) == (23, 5)
    assert (await commands.load(Streams(streams.log), "ada")).state == loaded.state


async def test_the_cache_is_bounded(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STATE_CACHE_STREAMS_MAX", 2)
    small = Streams(streams.log)
    for user in "abcabc":
        await grant(small, Context(owner=user, actor=user))
    assert [(await commands.load(small, user)).state.granted for user in "abc"] == [2, 2, 2]


async def test_a_cached_state_ahead_of_its_stream_is_read_anew(
    streams: Streams, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a backup was restored beneath a process that lives on."""
    await append(streams.log, STREAM, 0, granted(1))
    async with opened(database_url, "restored") as restored:
        stream_pages = restored.stream_pages

        async def read_longer(stream: str, after: int = 0) -> AsyncIterator[list[StreamEvent]]:
            async for [first] in stream_pages(stream, after):
                yield [first, *(msgspec.structs.replace(first, version=n) for n in (2, 3))]

        streams.log = restored
        with monkeypatch.context() as before_it:
            before_it.setattr(restored, "stream_pages", read_longer)
            assert (await commands.load(streams, "ada")).version == 3
        done = await grant(streams, amount=5)
    assert (done.answer.granted, done.position) == (6, 2)


async def test_who_loses_a_race_decides_again_on_the_new_state(streams: Streams) -> None:
    seen = []

    async def decide() -> Decision[Account]:
        loaded = await commands.load(streams, "ada")
        seen.append(loaded.state.granted)
        if len(seen) == 1:
            await append(streams.log, STREAM, 0, granted(10))
        return Decision(loaded.write([granted(5)]), answer=loaded.state)

    done = await streams.execute(ADA, decide, Account)
    assert (seen, done.position) == ([0, 10], 2)


async def test_who_always_loses_is_told(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONFLICT_SECONDS_MAX", 0.1)
    rounds = []

    async def decide() -> Decision[Account]:
        loaded = await commands.load(streams, "ada")
        rounds.append(await append(streams.log, STREAM, loaded.version))
        return Decision(loaded.write([granted()]), answer=loaded.state)

    with pytest.raises(Unavailable, match="Too many changes"):
        await streams.execute(ADA, decide, Account)
    assert len(await check(streams.log)) == len(rounds) > 1


async def test_who_loses_often_is_served_in_the_end(streams: Streams) -> None:
    rounds: list[Appended] = []

    async def decide() -> Decision[Account]:
        loaded = await commands.load(streams, "ada")
        if len(rounds) < OFTEN:
            rounds.append(await append(streams.log, STREAM, loaded.version))
        return Decision(loaded.write([granted()]), answer=loaded.state)

    done = await streams.execute(ADA, decide, Account)
    assert done.position == OFTEN + 1


async def test_a_crowd_on_one_stream_is_served_to_the_last(streams: Streams) -> None:
    crowd = 64
    done = await asyncio.gather(*(grant(streams) for _ in range(crowd)))
    assert sorted(one.answer.granted for one in done) == list(range(1, crowd + 1))
    assert len(await check(streams.log)) == crowd


async def test_crowds_of_two_processes_lose_no_update(streams: Streams, database_url: str) -> None:
    async with opened(database_url, "other") as log:
        other = Streams(log)
        calls = [grant(one) for _ in range(16) for one in (streams, other)]
        results = await asyncio.gather(*calls, return_exceptions=True)
    answered = [result for result in results if isinstance(result, Done)]
    assert all(isinstance(result, Done | Unavailable) for result in results)
    assert sorted(done.answer.granted for done in answered) == list(range(1, len(answered) + 1))
    assert len(await check(streams.log)) == len(answered) >= 16


async def test_who_does_not_get_a_turn_in_time_may_come_again(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TURN_SECONDS_MAX", 0.01)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def decide() -> Decision[Account]:
        loaded = await commands.load(streams, "ada")
        if loaded.version:
            entered.set()
            await leave.wait()
        else:
            await append(streams.log, STREAM, 0)
        return Decision(loaded.write([granted()]), answer=loaded.state)

    slow = asyncio.create_task(streams.execute(ADA, decide, Account))
    await entered.wait()
    with pytest.raises(Unavailable):
        await grant(streams)
    await grant(streams, Context(owner="somebody else", actor="else"))
    leave.set()
    await slow
    await grant(streams)


async def test_a_refusal_writes_nothing(streams: Streams) -> None:
    for refusal in (Invalid("no"), PaymentRequired("no"), RuntimeError("no")):

        async def decide(error: Exception = refusal) -> Decision[Account]:
            raise error

        with pytest.raises(type(refusal)):
            await streams.execute(keyed("key"), decide, Account)
    assert await streams.log.read_head() == 0
    assert (await grant(streams, keyed("key"))).position == 1


async def test_a_decision_without_events_answers_at_once(streams: Streams) -> None:
    async def decide() -> Decision[Account]:
        return Decision([], answer=Account(granted=7))

    done = await streams.execute(ADA, decide, Account)
    assert (done.answer.granted, done.position) == (7, None)
    assert await streams.log.read_head() == 0


async def test_the_same_key_gives_the_same_answer_and_position(
    streams: Streams, database_url: str
) -> None:
    first = await grant(streams, keyed("key"), amount=5)
    await grant(streams)
    assert await grant(streams, keyed("key"), amount=5) == first
    async with opened(database_url, "after a restart") as log:
        assert await grant(Streams(log), keyed("key"), amount=5) == first
    assert len(await check(streams.log)) == 2


async def test_the_same_key_many_times_at_once_is_executed_once(streams: Streams) -> None:
    answers = await asyncio.gather(*(grant(streams, keyed("key")) for _ in range(50)))
    assert {msgspec.json.encode(done) for done in answers} == {msgspec.json.encode(answers[0])}
    assert await check(streams.log) == [(STREAM, 1)]


async def test_a_key_is_for_one_request_of_one_owner(streams: Streams) -> None:
    await grant(streams, keyed("key"))
    with pytest.raises(KeyReused):
        await grant(streams, keyed("key", request=b"another"))
    done = await grant(streams, keyed("key", request=b"another", owner="eve"))
    assert done.answer.granted == 1


# --- what is only read ---------------------------------------------------------------------------
async def spend(streams: Streams, hold: str, seen: list[int] | None = None) -> Done[Account]:
    """A command that writes to a stream of its own, if the account allows it."""

    async def decide() -> Decision[Account]:
        loaded = await commands.load(streams, "ada")
        if seen is not None:
            seen.append(loaded.version)
        accounts.require_positive(loaded.state)
        writes = [StreamWrite.of(f"hold-{hold}", 0, [granted()])]
        return Decision(writes if hold else [], answer=loaded.state)

    return await streams.execute(ADA, decide, Account)


async def settled(streams: Streams) -> None:
    """Have the account read until nothing new is found."""
    for _ in range(2):
        await commands.load(streams, "ada")


async def test_what_is_quiet_and_only_read_is_not_read_again(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(streams.log, STREAM, 0)
    for number in range(2):
        await spend(streams, str(number))

    def read(*_: object) -> None:
        raise AssertionError("nothing is to be read")

    monkeypatch.setattr(streams.log, "stream_pages", read)
    for number in range(2, 5):
        assert (await spend(streams, str(number))).position == number + 2


async def test_what_has_moved_on_meanwhile_is_decided_anew(streams: Streams) -> None:
    await append(streams.log, STREAM, 0)
    await settled(streams)
    await append(streams.log, STREAM, 1, granted(10))
    seen: list[int] = []
    assert (await spend(streams, "a", seen)).answer.granted == 11
    assert seen == [1, 2]
    await spend(streams, "b", seen)
    assert seen == [1, 2, 2]
    await spend(streams, "c", seen)
    assert seen == [1, 2, 2, 2]
    assert [stream for stream, _ in await check(streams.log)][2:] == ["hold-a", "hold-b", "hold-c"]


async def test_nobody_is_refused_for_what_has_been_mended(streams: Streams) -> None:
    """Nor answered with what is no more: only an append proves what was not read."""
    await append(streams.log, STREAM, 0, CreditsHeld("all", 1))
    await settled(streams)
    with pytest.raises(PaymentRequired):
        await spend(streams, "")
    await append(streams.log, STREAM, 1, granted(10))
    seen: list[int] = []
    done = await spend(streams, "", seen)
    assert (done.answer.granted, done.position, seen) == (10, None, [1, 2])
