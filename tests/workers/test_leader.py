"""Who leads, for how long, and what a leader that was deposed can still do: nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg import AsyncConnection

from domain.limits import worker_limits
from runtime import clock
from runtime.database import Row
from runtime.eventlog.epoch import LogEpoch
from runtime.settings import Settings
from workers import relay
from workers.leader import Deposed, Term, lead

SECONDS_MAX = 15.0
ROLE = "relay"
DEPOSE = "UPDATE work.leaders SET epoch = epoch + 1, holder = 'other'"
LEADER = "SELECT holder, epoch, expires_at > clock_timestamp() FROM work.leaders"
END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'evergraph relay'
"""


class Leader:
    """Does nothing while it leads."""

    def __init__(self, settings: Settings) -> None:
        self._begun = asyncio.Event()
        self.term: Term | None = None
        self.task = asyncio.ensure_future(lead(settings, ROLE, self._work, LogEpoch().check))

    async def leads(self) -> Term:
        async with asyncio.timeout(SECONDS_MAX):
            await self._begun.wait()
        assert self.term is not None
        return self.term

    async def ended(self) -> None:
        """Wait until it leads no more. Raises what ended it."""
        async with asyncio.timeout(SECONDS_MAX):
            await self.task

    async def _work(self, term: Term) -> None:
        self.term = term
        self._begun.set()
        await asyncio.get_running_loop().create_future()


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=database_url)


@asynccontextmanager
async def leader(settings: Settings, name: str) -> AsyncIterator[Leader]:
    one = Leader(Settings(database_url=settings.database_url, worker_name=name, incarnation="1"))
    try:
        yield one
    finally:
        one.task.cancel()
        await asyncio.gather(one.task, return_exceptions=True)


async def row(connection: AsyncConnection[Row]) -> Row:
    found = await (await connection.execute(LEADER)).fetchone()
    assert found is not None
    return found


async def test_one_leads_and_the_next_follows_at_once_when_it_ends(
    settings: Settings, connection: AsyncConnection[Row]
) -> None:
    async with leader(settings, "first") as first:
        assert (await first.leads()).epoch == 1
        async with leader(settings, "second") as second:
            await asyncio.sleep(2 * worker_limits.POLL_SECONDS)
            assert second.term is None
            assert await row(connection) == ("first/1", 1, True)
            first.task.cancel()
            await second.leads()
            assert await row(connection) == ("second/1", 2, True)


async def test_a_leader_that_finds_another_one_stops(
    settings: Settings, connection: AsyncConnection[Row]
) -> None:
    async with leader(settings, "first") as first:
        await first.leads()
        await connection.execute(DEPOSE)
        with pytest.raises(Deposed):
            await first.ended()


async def test_a_leader_whose_session_ends_stops_and_is_followed(
    settings: Settings, connection: AsyncConnection[Row], superuser_url: str
) -> None:
    async with leader(settings, "first") as first:
        await first.leads()
        async with await AsyncConnection.connect(superuser_url, autocommit=True) as superuser:
            await superuser.execute(END_SESSIONS)
        async with leader(settings, "second") as second:
            assert (await second.leads()).epoch == 2
            with pytest.raises((Deposed, psycopg.OperationalError)):
                await first.ended()


async def test_a_leader_that_computes_for_long_is_not_followed(
    settings: Settings, connection: AsyncConnection[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its event loop stands still meanwhile."""
    monkeypatch.setattr(worker_limits, "LEADER_LEASE_SECONDS", 1.0)
    monkeypatch.setattr(worker_limits, "LEADER_RENEW_SECONDS", 0.1)
    async with leader(settings, "first") as first:
        await first.leads()
        compute(3 * worker_limits.LEADER_LEASE_SECONDS)
        assert await row(connection) == ("first/1", 1, True)
        assert not first.task.done()


def compute(seconds: float) -> None:
    until = clock.monotonic() + seconds
    while clock.monotonic() < until:
        sum(range(1_000))


async def test_a_lease_that_cannot_be_renewed_ends_the_term(
    settings: Settings, connection: AsyncConnection[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_limits, "LEADER_LEASE_SECONDS", 1.0)
    monkeypatch.setattr(worker_limits, "LEADER_RENEW_SECONDS", 0.1)
    async with leader(settings, "first") as first:
        await first.leads()
        async with connection.transaction():
            # Whoever wants to renew has to wait.
            await connection.execute("SELECT FROM work.leaders FOR UPDATE")
            with pytest.raises(Deposed):
                await first.ended()


async def test_a_leader_whose_session_hangs_leads_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is renewed over another session, so nobody else would see it."""

    async def work(term: Term) -> None:
        term.connection.seconds_max = 0.5
        os.kill(term.connection.info.backend_pid, signal.SIGSTOP)
        stopped.append(term.connection.info.backend_pid)
        await term.connection.execute("SELECT 1")

    stopped: list[int] = []
    try:
        async with asyncio.timeout(SECONDS_MAX):
            with pytest.raises(psycopg.OperationalError):
                await lead(settings, ROLE, work, LogEpoch().check)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


async def test_a_leader_whose_work_does_not_come_round_leads_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_limits, "LEADER_STEP_SECONDS_MAX", 0.3)
    monkeypatch.setattr(worker_limits, "LEADER_RENEW_SECONDS", 0.1)

    async def work(term: Term) -> None:
        for _ in range(5):
            await asyncio.sleep(0.2)
            term.note_step()
            steps.append(clock.monotonic())
        await asyncio.get_running_loop().create_future()

    steps: list[float] = []
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(Deposed):
            await lead(settings, ROLE, work, LogEpoch().check)
    assert len(steps) == 5


@pytest.mark.parametrize(
    ("epoch", "position", "saved"), [(1, 8, 8), (1, 7, 7), (1, 6, 7), (0, 8, 7), (2, 8, 7)]
)
async def test_only_who_leads_moves_the_relays_checkpoint_and_only_forward(
    settings: Settings,
    connection: AsyncConnection[Row],
    epoch: int,
    position: int,
    saved: int,
) -> None:
    async with leader(settings, "first") as first:
        await first.leads()
        wanted = {"name": relay.CHECKPOINT, "role": ROLE, "epoch": 1, "position": 7}
        assert (await connection.execute(relay.SAVE, wanted)).rowcount == 1
        cursor = await connection.execute(
            relay.SAVE, {**wanted, "epoch": epoch, "position": position}
        )
        assert cursor.rowcount == (saved == position > 7)
        found = await (await connection.execute(relay.LOAD, (relay.CHECKPOINT,))).fetchone()
        assert found == (saved,)
