"""What is wrong with the installation, as this process sees it.

Commands need the database alone, and a log that takes appends. What else is missing delays them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec
from psycopg import AsyncConnection

from api.health.probe import Probe
from domain.limits import process_limits
from projections.catalogue import PROJECTIONS
from runtime import clock, outages, sql
from runtime.broker import Broker
from runtime.database import Row
from runtime.eventlog.log import EventLog

SELECT_FOLLOWERS = sql.load(__file__, "select_followers")
CLAIM_SPACE = sql.load(__file__, "claim_space")

DATABASE = "database"
WITHOUT = {
    "projector": "lists and reviews do not change",
    "relay": "runs start late and sockets are told late",
}


class Reason(msgspec.Struct, frozen=True):
    """Why a part does not do what it should: `state` is a stable slug."""

    part: str
    state: str
    message: str


class Report(msgspec.Struct, frozen=True):
    """`refusal` is why commands cannot be taken now, `delays` is what else is amiss."""

    refusal: Reason | None = None
    delays: Sequence[Reason] = ()


NOT_HEARD = Reason("nats", "not_heard", "NATS does not answer: work is found more slowly.")
NOT_ALIVE = Reason("executor", "not_alive", "No executor lives: runs wait.")


class Follower(msgspec.Struct, frozen=True):
    """One who follows the log, as the database knows it; positions are for nobody else."""

    role: str
    is_led: bool
    epoch: int
    position: int
    seconds_behind: float
    has_executors: bool


class Checkup:
    """One a process. Its questions cost little and are asked only when somebody wants to know."""

    def __init__(self, log: EventLog, broker: Broker) -> None:
        self._log = log
        self._broker = broker
        self._seen = {role: Sightings() for role in WITHOUT}
        self._followers = Probe(self._look)
        self._space = Probe(self._claim_space)
        self._append = Probe(log.appender.probe)

    def close(self) -> None:
        for probe in (self._followers, self._space, self._append):
            probe.end()

    async def report(self) -> Report:
        """What is known now, or was a second ago."""
        questions = (self._followers.answer(), self._append.answer(), self._space.answer())
        followers, *others = await asyncio.gather(*questions, return_exceptions=True)
        for failure in (followers, *others):
            if isinstance(failure, BaseException):
                return Report(refusal=_refusal(failure))
        assert not isinstance(followers, BaseException)
        return Report(delays=self._delays(followers))

    def _delays(self, followers: Sequence[Follower]) -> list[Reason]:
        is_heard = self._broker.is_heard
        found = [] if is_heard else [NOT_HEARD]
        for follower in followers:
            # What the relay has told counts once NATS has taken it.
            is_excused = follower.role == "relay" and not is_heard
            found += complaints(follower, self._seen[follower.role], is_excused=is_excused)
        return found if followers[0].has_executors else [*found, NOT_ALIVE]

    async def _look(self) -> Sequence[Follower]:
        async with self._log.pool.connection() as connection:
            found = await read_followers(connection)
        for follower in found:
            self._seen[follower.role].add(follower)
        return found

    async def _claim_space(self) -> None:
        async with self._log.pool.connection() as connection:
            await connection.execute(CLAIM_SPACE)


class Sightings:
    """Where a follower was lately, and under which epoch."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def add(self, follower: Follower) -> None:
        now = clock.monotonic()
        self._seen.append((now, follower.position, follower.epoch))
        while self._seen[0][0] < now - process_limits.LOOP_SECONDS:
            self._seen.popleft()

    @property
    def is_looping(self) -> bool:
        """It has been taken up again and again without coming any further."""
        _, position, epoch = self._seen[-1]
        stood = [before for _, place, before in self._seen if place == position]
        return epoch - min(stood) >= process_limits.LOOP_TERMS


async def read_followers(connection: AsyncConnection[Row]) -> Sequence[Follower]:
    """How the projector and the relay stand."""
    names = [projection.name for projection in PROJECTIONS]
    cursor = await connection.execute(SELECT_FOLLOWERS, {"read_models": names})
    return [Follower(*row) for row in await cursor.fetchall()]


def complaints(follower: Follower, seen: Sightings, *, is_excused: bool) -> list[Reason]:
    """What is wrong with a follower: the one thing that says most."""
    role, without = follower.role, WITHOUT[follower.role]
    if seen.is_looping:
        return [Reason(role, "looping", f"The {role} begins again and again: {without}.")]
    if not follower.is_led:
        return [Reason(role, "not_led", f"No {role} is at work: {without}.")]
    if follower.seconds_behind > process_limits.BEHIND_SECONDS_MAX and not is_excused:
        return [Reason(role, "behind", f"The {role} is behind: {without}.")]
    return []


def _refusal(error: BaseException) -> Reason:
    """Raises `error` again if it is no outage."""
    outage = outages.of(error) if isinstance(error, Exception) else None
    if outage is None:
        raise error
    return Reason(DATABASE, outage.slug, outage.message)
