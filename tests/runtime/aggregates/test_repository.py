"""How commands run: on the present state, once for each key, and fairly in a crowd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from domain import credits as accounts
from domain.credits import Account, CreditsHeld
from domain.errors import Invalid, KeyReused, NotFound, PaymentRequired, Unavailable
from domain.graphs.graph import GRAPH
from domain.limits import log_limits
from runtime import ids
from runtime.aggregates.command_context import CommandContext, Idempotency
from runtime.aggregates.repository import Decision, Done, Repository
from runtime.eventlog.append import Appended, StreamWrite
from runtime.eventlog.log import EventLog, opened
from runtime.eventlog.reader import StreamEvent
from tests.support import credits as credit_support
from tests.support import log as logs
from tests.support.live import saved_graph
from tests.support.log import append, granted

ADA = CommandContext(owner="ada", actor="ada")
STREAM = accounts.ACCOUNT.stream_of("ada")
OFTEN = 50


def keyed(key: str, request: bytes = b"request", owner: str = "ada") -> CommandContext:
    return CommandContext(owner, owner, idempotency=Idempotency(key, request))


async def grant(
    repository: Repository, context: CommandContext = ADA, amount: int = 1
) -> Done[Account]:
    return await credit_support.grant(repository, context, amount=amount, reason="test")


async def check(log: EventLog) -> list[tuple[str, int]]:
    async with log.pool.connection() as connection:
        return await logs.check(connection)


async def test_state_is_folded_from_what_was_written_since(repository: Repository) -> None:
    assert (await repository.load(accounts.ACCOUNT, "ada")).version == 0
    for expected in (1, 2, 3):
        done = await grant(repository)
        assert (done.answer.granted, done.position) == (expected, expected)
    await append(repository.log, STREAM, 3, granted(10), granted(10))
    loaded = await repository.load(accounts.ACCOUNT, "ada")
    assert (loaded.state.granted, loaded.version) == (23, 5)
    assert (await Repository(repository.log).load(accounts.ACCOUNT, "ada")).state == loaded.state


async def test_the_cache_is_bounded(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_limits, "STATE_CACHE_STREAMS_MAX", 2)
    small = Repository(repository.log)
    for user in "abcabc":
        await grant(small, CommandContext(owner=user, actor=user))
    assert [(await small.load(accounts.ACCOUNT, user)).state.granted for user in "abc"] == [2, 2, 2]


async def test_of_what_is_anothers_nothing_is_read_or_kept(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether somebody has it in the cache or not; and its owner is asked for no more than once."""
    owner = ids.new_id()
    saved = await saved_graph(repository, owner)
    graph_id = str(saved.graph.id)
    own, others = Repository(repository.log), Repository(repository.log)

    async def refused(there: Repository) -> None:
        with pytest.raises(NotFound, match=f"Graph {graph_id} not found"):
            await there.load_owned(GRAPH, graph_id, str(ids.new_id()))

    assert (await own.load_owned(GRAPH, graph_id, str(owner))).version == 1
    with monkeypatch.context() as unread:
        unread.setattr(EventLog, "stream_pages", None)
        await refused(own)
        await refused(others)
    monkeypatch.setattr(EventLog, "owner_of", None)
    assert (await own.load_owned(GRAPH, graph_id, str(owner))).version == 1


async def test_a_cached_state_ahead_of_its_stream_is_read_anew(
    repository: Repository, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a backup was restored beneath a process that lives on."""
    await append(repository.log, STREAM, 0, granted(1))
    async with opened(database_url, "restored") as restored:
        stream_pages = restored.stream_pages

        async def read_longer(stream: str, after: int = 0) -> AsyncIterator[list[StreamEvent]]:
            async for [first] in stream_pages(stream, after):
                yield [first, *(msgspec.structs.replace(first, version=n) for n in (2, 3))]

        repository.log = restored
        with monkeypatch.context() as before_it:
            before_it.setattr(restored, "stream_pages", read_longer)
            assert (await repository.load(accounts.ACCOUNT, "ada")).version == 3
        done = await grant(repository, amount=5)
    assert (done.answer.granted, done.position) == (6, 2)


async def test_who_loses_a_race_decides_again_on_the_new_state(repository: Repository) -> None:
    seen = []

    async def decide() -> Decision[Account]:
        loaded = await repository.load(accounts.ACCOUNT, "ada")
        seen.append(loaded.state.granted)
        if len(seen) == 1:
            await append(repository.log, STREAM, 0, granted(10))
        return Decision(loaded.write([granted(5)]), answer=loaded.state)

    done = await repository.execute(ADA, decide, Account)
    assert (seen, done.position) == ([0, 10], 2)


async def test_who_always_loses_is_told(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_limits, "CONFLICT_SECONDS_MAX", 0.1)
    rounds = []

    async def decide() -> Decision[Account]:
        loaded = await repository.load(accounts.ACCOUNT, "ada")
        rounds.append(await append(repository.log, STREAM, loaded.version))
        return Decision(loaded.write([granted()]), answer=loaded.state)

    with pytest.raises(Unavailable, match="Too many changes"):
        await repository.execute(ADA, decide, Account)
    assert len(await check(repository.log)) == len(rounds) > 1


async def test_who_loses_often_is_served_in_the_end(repository: Repository) -> None:
    rounds: list[Appended] = []

    async def decide() -> Decision[Account]:
        loaded = await repository.load(accounts.ACCOUNT, "ada")
        if len(rounds) < OFTEN:
            rounds.append(await append(repository.log, STREAM, loaded.version))
        return Decision(loaded.write([granted()]), answer=loaded.state)

    done = await repository.execute(ADA, decide, Account)
    assert done.position == OFTEN + 1


async def test_a_crowd_on_one_stream_is_served_to_the_last(repository: Repository) -> None:
    crowd = 64
    done = await asyncio.gather(*(grant(repository) for _ in range(crowd)))
    assert sorted(one.answer.granted for one in done) == list(range(1, crowd + 1))
    assert len(await check(repository.log)) == crowd


async def test_crowds_of_two_processes_lose_no_update(
    repository: Repository, database_url: str
) -> None:
    async with opened(database_url, "other") as log:
        other = Repository(log)
        calls = [grant(one) for _ in range(16) for one in (repository, other)]
        results = await asyncio.gather(*calls, return_exceptions=True)
    answered = [result for result in results if isinstance(result, Done)]
    assert all(isinstance(result, Done | Unavailable) for result in results)
    assert sorted(done.answer.granted for done in answered) == list(range(1, len(answered) + 1))
    assert len(await check(repository.log)) == len(answered) >= 16


async def test_who_does_not_get_a_turn_in_time_may_come_again(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_limits, "LOCK_SECONDS_MAX", 0.01)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def decide() -> Decision[Account]:
        loaded = await repository.load(accounts.ACCOUNT, "ada")
        if loaded.version:
            entered.set()
            await leave.wait()
        else:
            await append(repository.log, STREAM, 0)
        return Decision(loaded.write([granted()]), answer=loaded.state)

    slow = asyncio.create_task(repository.execute(ADA, decide, Account))
    await entered.wait()
    with pytest.raises(Unavailable):
        await grant(repository)
    await grant(repository, CommandContext(owner="somebody else", actor="else"))
    leave.set()
    await slow
    await grant(repository)


async def test_a_refusal_writes_nothing(repository: Repository) -> None:
    for refusal in (Invalid("no"), PaymentRequired("no"), RuntimeError("no")):

        async def decide(error: Exception = refusal) -> Decision[Account]:
            raise error

        with pytest.raises(type(refusal)):
            await repository.execute(keyed("key"), decide, Account)
    assert await repository.log.read_head() == 0
    assert (await grant(repository, keyed("key"))).position == 1


async def test_a_decision_without_events_answers_at_once(repository: Repository) -> None:
    async def decide() -> Decision[Account]:
        return Decision([], answer=Account(granted=7))

    done = await repository.execute(ADA, decide, Account)
    assert (done.answer.granted, done.position) == (7, None)
    assert await repository.log.read_head() == 0


async def test_the_same_key_gives_the_same_answer_and_position(
    repository: Repository, database_url: str
) -> None:
    first = await grant(repository, keyed("key"), amount=5)
    await grant(repository)
    assert await grant(repository, keyed("key"), amount=5) == first
    async with opened(database_url, "after a restart") as log:
        assert await grant(Repository(log), keyed("key"), amount=5) == first
    assert len(await check(repository.log)) == 2


async def test_the_same_key_many_times_at_once_is_executed_once(repository: Repository) -> None:
    answers = await asyncio.gather(*(grant(repository, keyed("key")) for _ in range(50)))
    assert {msgspec.json.encode(done) for done in answers} == {msgspec.json.encode(answers[0])}
    assert await check(repository.log) == [(STREAM, 1)]


async def test_a_key_is_for_one_request_of_one_owner(repository: Repository) -> None:
    await grant(repository, keyed("key"))
    with pytest.raises(KeyReused):
        await grant(repository, keyed("key", request=b"another"))
    done = await grant(repository, keyed("key", request=b"another", owner="eve"))
    assert done.answer.granted == 1


# --- what is only read ---------------------------------------------------------------------------
async def spend(repository: Repository, hold: str, seen: list[int] | None = None) -> Done[Account]:
    """A command that writes to a stream of its own, if the account allows it."""

    async def decide() -> Decision[Account]:
        loaded = await repository.load(accounts.ACCOUNT, "ada")
        if seen is not None:
            seen.append(loaded.version)
        accounts.require_positive(loaded.state)
        writes = [StreamWrite.of(f"hold-{hold}", 0, [granted()])]
        return Decision(writes if hold else [], answer=loaded.state)

    return await repository.execute(ADA, decide, Account)


async def settled(repository: Repository) -> None:
    """Have the account read until nothing new is found."""
    for _ in range(2):
        await repository.load(accounts.ACCOUNT, "ada")


async def test_what_is_quiet_and_only_read_is_not_read_again(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(repository.log, STREAM, 0)
    for number in range(2):
        await spend(repository, str(number))

    def read(*_: object) -> None:
        raise AssertionError("nothing is to be read")

    monkeypatch.setattr(repository.log, "stream_pages", read)
    for number in range(2, 5):
        assert (await spend(repository, str(number))).position == number + 2


async def test_what_has_moved_on_meanwhile_is_decided_anew(repository: Repository) -> None:
    await append(repository.log, STREAM, 0)
    await settled(repository)
    await append(repository.log, STREAM, 1, granted(10))
    seen: list[int] = []
    assert (await spend(repository, "a", seen)).answer.granted == 11
    assert seen == [1, 2]
    await spend(repository, "b", seen)
    assert seen == [1, 2, 2]
    await spend(repository, "c", seen)
    assert seen == [1, 2, 2, 2]
    assert [stream for stream, _ in await check(repository.log)][2:] == [
        "hold-a",
        "hold-b",
        "hold-c",
    ]


async def test_nobody_is_refused_for_what_has_been_mended(repository: Repository) -> None:
    """Nor answered with what is no more: only an append proves what was not read."""
    await append(repository.log, STREAM, 0, CreditsHeld("all", 1))
    await settled(repository)
    with pytest.raises(PaymentRequired):
        await spend(repository, "")
    await append(repository.log, STREAM, 1, granted(10))
    seen: list[int] = []
    done = await spend(repository, "", seen)
    assert (done.answer.granted, done.position, seen) == (10, None, [1, 2])
